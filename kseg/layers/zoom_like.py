"""`ZoomLike`: enlarge a map whose cells stand at every n-th pixel, to another tensor's height and width."""

import keras
from keras import ops

from kseg.ops.resize import resize, spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class ZoomLike(keras.layers.Layer):
    """Enlarges a map bilinearly so that cell i stands over pixel `factor * i` exactly.

    This is where the cells of networks with symmetric padding stand (Caffe's VGG and ResNet, PyTorch's). On
    an image of `factor * k + 1` pixels the result is that of Caffe's Interp layer with aligned corners, as
    in the released DeepLab and PSPNet; on other sizes nothing is stretched, and pixels behind the last cell
    repeat it. So `logits[:, ::factor, ::factor]` are the map's own scores, on which DeepLab v1 puts its loss.

    Args:
        factor: pixels from one cell to the next.

    Input: a list `[x, like]` of `(batch, h, w, channels)` and `(batch, height, width, any)`, with
    `h * factor >= height` and likewise for the width. Output: `(batch, height, width, channels)` in the
    layer's compute dtype; give `dtype="float32"` for logits.

    Raises:
        ValueError: a factor below 1.
    """

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = int(factor)
        if self.factor < 1:
            raise ValueError(f"`factor` must be at least 1, got {factor}")

    def call(self, inputs):
        x, like = inputs
        # one more row and column, copies of the last, so that every pixel lies between cells
        x = ops.concatenate([x, x[:, -1:]], axis=1)
        x = ops.concatenate([x, x[:, :, -1:]], axis=2)
        rows, columns = spatial_shape(x)
        size = ((rows - 1) * self.factor + 1, (columns - 1) * self.factor + 1)
        height, width = spatial_shape(like)
        return resize(x, size, "bilinear", align_corners=True)[:, :height, :width]

    def positions(self, cells, size):
        """Where each of `size` lines of the result stands in the `cells` lines of the map, float32 (size,)."""
        return ops.cast(ops.arange(size), "float32") / self.factor

    def compute_output_spec(self, inputs):
        x, like = inputs
        return keras.KerasTensor((x.shape[0], *like.shape[1:3], x.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
