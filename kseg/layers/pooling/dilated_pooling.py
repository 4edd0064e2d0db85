"""`DilatedPooling2D`: pooling whose window has holes."""

from typing import Any

import keras
from keras import ops

from kseg import checks


@keras.saving.register_keras_serializable(package="kseg")
class DilatedPooling2D(keras.layers.Layer):
    """Maximum or average over a window whose taps are `rate` pixels apart, at stride 1.

    This is what a pooling layer becomes when its stride, or one before it, is turned into dilation ("hole
    algorithm"); Keras dilates convolutions only.

    Args:
        pool_size: number of taps, an integer or (vertical, horizontal).
        rate: distance of neighbouring taps in pixels.
        padding: ((top, bottom), (left, right)) pixels around the map that never count: they are not a maximum
            and do not enter an average, as with Keras's "same" padding.
        mode: "max" or "average".
        **kwargs: `name` and `dtype` of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The same with `height + top + bottom - rate * (pool_size - 1)` rows, and likewise for columns.

    Reference:
        Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR
        2015, section 3.

    Example:

    >>> y = kseg.layers.DilatedPooling2D(2, rate=2)(np.arange(5.0).reshape(1, 1, 5, 1).repeat(3, axis=1))
    >>> np.asarray(y)[0, 0, :, 0].tolist()
    [2.0, 3.0, 4.0]
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        rate: int | tuple[int, int] = 1,
        padding: Any = ((0, 0), (0, 0)),
        mode: str = "max",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_size, self.rate = checks.pair(pool_size, "pool_size"), checks.whole(rate, "rate")
        vertical, horizontal = padding
        self.padding = (
            checks.wholes(vertical, "padding", least=0, count=2),
            checks.wholes(horizontal, "padding", least=0, count=2),
        )
        self.mode = checks.one_of(mode, "mode", ("max", "average"))

    def call(self, inputs):
        if self.mode == "max":
            return self._over_window(self._padded(inputs, float("-inf")), ops.maximum)
        total = self._over_window(self._padded(inputs, 0.0), ops.add)
        if not any(map(any, self.padding)):
            return total / (self.pool_size[0] * self.pool_size[1])
        inside = self._padded(ops.ones_like(inputs[:1, :, :, :1]), 0.0)
        return total / ops.maximum(self._over_window(inside, ops.add), 1)

    def _padded(self, x, value):
        if not any(map(any, self.padding)):
            return x
        return ops.pad(x, ((0, 0), *self.padding, (0, 0)), constant_values=value)

    def _over_window(self, x, combine):
        """Rows first, then columns: both operations are separable."""
        for axis, places in enumerate(self.pool_size, start=1):
            combined = None
            for index in range(places):
                cut = (places - 1 - index) * self.rate
                window = slice(index * self.rate, -cut if cut else None)
                shifted = x[:, window] if axis == 1 else x[:, :, window]
                combined = shifted if combined is None else combine(combined, shifted)
            x = combined
        return x

    def compute_output_shape(self, input_shape):
        batch, *size, channels = input_shape
        for axis, (places, pair) in enumerate(zip(self.pool_size, self.padding, strict=True)):
            if size[axis] is not None:
                size[axis] += sum(pair) - self.rate * (places - 1)
        return (batch, *size, channels)

    def get_config(self) -> dict[str, Any]:
        own = {"pool_size": self.pool_size, "rate": self.rate, "padding": self.padding, "mode": self.mode}
        return {**super().get_config(), **own}
