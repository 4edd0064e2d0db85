"""`PadToLeast`: zeros at the bottom and the right of maps that are too small for what follows."""

from typing import Any

import keras
from keras import ops

from kseg import checks
from kseg.ops.resize import spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class PadToLeast(keras.layers.Layer):
    """Pads a map with zeros at the bottom and the right to a least height and width; larger maps pass unchanged.

    It goes before a convolution without padding, whose window a small map would not fill.

    Args:
        size: least height and width, in cells.
        **kwargs: `name` and `dtype` of a Keras layer.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The same with height and width of at least `size`.

    Example:

    >>> kseg.layers.PadToLeast(7)(np.ones((1, 3, 9, 2))).shape
    TensorShape([1, 7, 9, 2])
    """

    def __init__(self, size: int | tuple[int, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = checks.whole(size, "size")

    def call(self, x):
        size, (height, width) = self.size, spatial_shape(x)
        if isinstance(height, int) and isinstance(width, int):
            missing = max(size - height, 0), max(size - width, 0)
            return ops.pad(x, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]) if max(missing) else x
        # Margins that are constants, and a slice: after others LiteRT's converter forgets the channels.
        x = ops.pad(x, [[0, 0], [0, size], [0, size], [0, 0]])
        return x[:, : ops.maximum(height, size), : ops.maximum(width, size)]

    def compute_output_shape(self, input_shape):
        height, width = (None if s is None else max(s, self.size) for s in input_shape[1:3])
        return (input_shape[0], height, width, input_shape[3])

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}
