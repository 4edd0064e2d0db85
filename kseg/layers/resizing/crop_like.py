"""`CropLike`: cut a map to another tensor's height and width, from a fixed offset."""

import keras

from kseg import checks
from kseg.ops.resize import same_size, spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class CropLike(keras.layers.Layer):
    """Cuts the first tensor to the height and width of the second, starting `offset` pixels from the top and left.

    Caffe's Crop layer, with which FCN aligns upsampled scores with the skip scores and the image
    (Shelhamer et al., released `net.py`).

    Args:
        offset: pixels left out at the top and at the left.

    Input: a list `[x, like]`; `x` must be at least `offset` larger than `like`. Output: `(batch, height of like,
    width of like, channels of x)`.
    """

    def __init__(self, offset=0, **kwargs):
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

    def get_config(self):
        return {**super().get_config(), "offset": self.offset}
