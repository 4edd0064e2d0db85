"""`ResizeLike`: resize a map to another tensor's height and width."""

import keras
from keras import ops

from kseg.ops.resize import resize, same_size, spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class ResizeLike(keras.layers.Layer):
    """Resizes the first tensor to the height and width of the second, whatever they are at run time.

    Unlike `keras.layers.Resizing` and `UpSampling2D` it traces and exports with unknown sizes.

    Args:
        method: "bilinear" or "nearest".
        align_corners: False samples at pixel centres; True is Caffe's Interp (DeepLab, PSPNet originals).
        factor: enlarge by exactly this much and cut off what is beyond the second tensor, rather than stretch. Cell
            i then covers the pixels from `factor * i` on, whatever the size (see `PadToMultiple`); the map must be
            large enough. A fraction such as 16 / 3 enlarges to the nearest whole size. Without `align_corners` only.

    Input: a list `[x, like]` of `(batch, h, w, channels)` and `(batch, height, width, any)`.
    Output: `(batch, height, width, channels)` in the layer's compute dtype; give `dtype="float32"` for logits.

    Raises:
        ValueError: a factor below 1, or one with aligned corners.
    """

    def __init__(self, method="bilinear", align_corners=False, factor=None, **kwargs):
        super().__init__(**kwargs)
        self.method, self.align_corners = method, bool(align_corners)
        self.factor = None if factor is None else _whole_or_fraction(factor)
        if self.factor is not None and (self.factor < 1 or self.align_corners):
            raise ValueError(f"`factor` must be at least 1 and without `align_corners`, got {factor}")

    def call(self, inputs):
        x, like = inputs
        if self.factor is None:
            return resize(x, spatial_shape(like), self.method, self.align_corners)
        (rows, columns), (height, width) = spatial_shape(x), spatial_shape(like)
        enlarged = _times(rows, self.factor), _times(columns, self.factor)
        x = resize(x, enlarged, self.method)
        return x if same_size(enlarged, (height, width)) else x[:, :height, :width]

    def positions(self, cells, size):
        """Where each of `size` lines of the result stands in the `cells` lines of the map, float32 (size,)."""
        lines = ops.cast(ops.arange(size), "float32")
        if self.factor is not None:
            return (lines + 0.5) / self.factor - 0.5
        cells, size = ops.cast(cells, "float32"), ops.cast(size, "float32")
        if self.align_corners:
            return lines * ((cells - 1) / ops.maximum(size - 1, 1.0))
        return (lines + 0.5) * (cells / size) - 0.5

    def compute_output_spec(self, inputs):
        x, like = inputs
        return keras.KerasTensor((x.shape[0], *like.shape[1:3], x.shape[3]), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "method": self.method,
            "align_corners": self.align_corners,
            "factor": self.factor,
        }


def _whole_or_fraction(factor):
    return int(factor) if factor == int(factor) else float(factor)


def _times(cells, factor):
    """Cells enlarged; both may be whole numbers, the cells a tensor too."""
    if isinstance(factor, int):
        return cells * factor
    if isinstance(cells, int):
        return round(cells * factor)
    return ops.cast(ops.round(ops.cast(cells, "float32") * factor), "int32")
