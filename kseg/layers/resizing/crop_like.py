"""`CropLike`: cut a map to another tensor's height and width, from a fixed offset."""

from typing import Any

import keras

from kseg import checks
from kseg.ops.resize import same_size, spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class CropLike(keras.layers.Layer):
    """Crops the first tensor to the height and width of the second, from `offset` pixels below the top and left edge.

    Caffe's Crop layer, with which FCN aligns upsampled scores with the scores of skip connections and with
    the image.

    Args:
        offset: pixels left out at the top and at the left.
        **kwargs: `name` and `dtype` of a Keras layer.

    Input shape:
        A list `[x, like]` of `(batch, h, w, channels)` and `(batch, height, width, any)`, where `x` is at
        least `offset` larger than `like`.

    Output shape:
        `(batch, height, width, channels)`.

    Reference:
        Shelhamer et al., "Fully convolutional networks for semantic segmentation", TPAMI 2017; the released
        `net.py`.

    Example:

    >>> kseg.layers.CropLike(1)([np.ones((1, 9, 9, 4)), np.ones((1, 6, 7, 3))]).shape
    TensorShape([1, 6, 7, 4])
    """

    def __init__(self, offset: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.offset = checks.whole(offset, "offset", least=0)

    def call(self, inputs):
        x, like = inputs
        height, width = spatial_shape(like)
        if self.offset == 0 and same_size(spatial_shape(x), (height, width)):
            return x  # a slice of everything is one more copy of full-size scores in an exported file
        return x[:, self.offset : self.offset + height, self.offset : self.offset + width]

    def compute_output_spec(self, inputs):
        x, like = inputs
        return keras.KerasTensor((x.shape[0], *like.shape[1:3], x.shape[3]), dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "offset": self.offset}
