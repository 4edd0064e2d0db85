"""`PadToMultiple`: zeros at the bottom and the right, up to sizes that divide by a network's stride."""

from typing import Any

import keras
from keras import ops

from kseg import checks
from kseg.errors import SettingsError
from kseg.ops.resize import spatial_shape


@keras.saving.register_keras_serializable(package="kseg")
class PadToMultiple(keras.layers.Layer):
    """Pads a map with zeros at the bottom and the right until height and width are multiples of `factor`.

    A strided convolution with "same" padding reads other pixels on odd sizes than on even ones: TensorFlow
    pads the end first, then both sides. Behind this layer the cells of a network of stride `factor` stand
    over the same pixels at every image size.

    Args:
        factor: height and width become multiples of this whole number, at least 1.
        least: the least height and width of the result, a multiple of `factor`; 0 for no more than `factor`.
        **kwargs: `name` and `dtype` of a Keras layer.

    Raises:
        SettingsError: a factor below 1, or a least size that is no multiple of it.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        The same with up to `factor - 1` more rows and columns, or of `least`.

    Example:

    >>> kseg.layers.PadToMultiple(8)(np.ones((1, 9, 16, 3))).shape
    TensorShape([1, 16, 16, 3])
    """

    def __init__(self, factor: int, least: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = checks.whole(factor, "factor")
        self.least = checks.whole(least, "least", 0)
        if self.least % self.factor:
            raise SettingsError(f"`least` is a multiple of `factor`, {factor}; got {least}.")

    def call(self, x):
        height, width = spatial_shape(x)
        new_height, new_width = self._filled(height), self._filled(width)
        if isinstance(height, int) and isinstance(width, int):
            missing = new_height - height, new_width - width
            return ops.pad(x, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]) if max(missing) else x
        # Margins that are constants, and a slice: after others LiteRT's converter forgets the channels.
        most = max(self.factor, self.least) - 1
        x = ops.pad(x, [[0, 0], [0, most], [0, most], [0, 0]])
        return x[:, :new_height, :new_width]

    def _filled(self, size: Any) -> Any:
        filled = (size + self.factor - 1) // self.factor * self.factor
        if not self.least:
            return filled
        return max(filled, self.least) if isinstance(filled, int) else ops.maximum(filled, self.least)

    def compute_output_shape(self, input_shape):
        height, width = (None if s is None else self._filled(s) for s in input_shape[1:3])
        return (input_shape[0], height, width, input_shape[3])

    def compute_output_spec(self, x):
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype=x.dtype)

    def get_config(self) -> dict[str, Any]:
        least = {"least": self.least} if self.least else {}
        return {**super().get_config(), "factor": self.factor, **least}
