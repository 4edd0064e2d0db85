"""`ScaledImage`: an image at a part of its size, for networks that see several scales."""

from typing import Any

import keras
from keras import ops

from kseg import checks
from kseg.ops.resize import resize, spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class ScaledImage(keras.layers.Layer):
    """Resizes images bilinearly by a factor, whatever their size is at run time.

    Args:
        scale: factor on height and width, above 0.
        stride: None for the half-pixel rule and `round(scale * side)` pixels. Otherwise the output stride of
            a network whose cells stand at every `stride`-th pixel: the image is padded with copies of its
            last row and column to `stride * n + 1` pixels and resized with aligned corners to `stride *
            round(scale * n) + 1`, as the released DeepLab v2 does with its crops of such sizes. First and
            last cell of the network's map then stand over the same pixels at every scale.
        **kwargs: `name` and `dtype` of a Keras layer.

    Raises:
        SettingsError: a scale that is not above 0, or a stride below 1.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The same, resized, at least one pixel high and wide.

    Example:

    >>> kseg.layers.ScaledImage(0.5)(np.ones((1, 8, 6, 3))).shape
    TensorShape([1, 4, 3, 3])
    """

    def __init__(self, scale: float, stride: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = checks.number(scale, "scale", above=0)
        self.stride = None if stride is None else checks.whole(stride, "stride")

    def call(self, x):
        size = tuple(self._scaled_side(side) for side in spatial_shape(x))
        if self.stride is None:
            return resize(x, size)
        height, width = (steps(side, self.stride) * self.stride + 1 for side in spatial_shape(x))
        x = ops.concatenate([x, ops.repeat(x[:, -1:], self.stride - 1, axis=1)], axis=1)
        x = ops.concatenate([x, ops.repeat(x[:, :, -1:], self.stride - 1, axis=2)], axis=2)
        return resize(x[:, :height, :width], size, align_corners=True)

    def compute_output_shape(self, input_shape):
        height, width = (None if side is None else self._scaled_side(side) for side in input_shape[1:3])
        return (input_shape[0], height, width, input_shape[3])

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype=self.compute_dtype)

    def _scaled_side(self, side: Any) -> Any:
        if self.stride is None:
            return scaled(side, self.scale)
        cells = steps(side, self.stride)
        return scaled(cells, self.scale, least=cells) * self.stride + 1

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale, "stride": self.stride}


def steps(side: Any, stride: int) -> Any:
    """How many steps of `stride` pixels lead from the first pixel to the last or beyond; integer or tensor."""
    return (side + stride - 2) // stride


def scaled(count: Any, scale: float, least: int = 1) -> Any:
    """`round(scale * count)`, but at least 1, or 0 where `least` is; integer or tensor."""
    if isinstance(count, int):
        return max(round(count * scale), min(1, least))
    rounded = ops.cast(ops.round(ops.cast(count, "float32") * scale), "int32")
    return ops.maximum(rounded, ops.minimum(1, least))
