"""`Normalize`: the model's first layer."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kseg import checks


@keras.saving.register_keras_serializable(package="kseg")
class Normalize(keras.layers.Layer):
    """Normalises an image to what a backbone's weights were trained on: `(image - mean) / std`; an RGB image of 0-255.

    As the first layer of a model it travels with the weights, so that training, export and serving cannot
    disagree about preprocessing.

    Args:
        mean: mean of each channel, in the image's units (RGB: 0-255, in the order red, green, blue).
        std: divisor of each channel, in the same units and order.
        bgr: True reverses the channels to blue, green, red after normalising (Caffe's order, as the original
            VGG weights and keras.applications' "caffe" mode expect).
        **kwargs: `name` and `dtype` of a Keras layer.

    Raises:
        SettingsError: other numbers of means than of divisors, or a divisor that is not above 0.

    Input shape:
        `(batch, height, width, channels)`, of as many channels as there are means.

    Output shape:
        The same, in the layer's compute dtype.

    Example:

    >>> y = kseg.layers.Normalize((127.5,) * 3, (127.5,) * 3)(np.array([[[[0, 127.5, 255]]]]))
    >>> np.asarray(y).tolist()
    [[[[-1.0, 0.0, 1.0]]]]
    """

    def __init__(
        self,
        mean: Sequence[float] = (127.5, 127.5, 127.5),
        std: Sequence[float] = (127.5, 127.5, 127.5),
        bgr: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.mean = checks.numbers(mean, "mean")
        self.std = checks.numbers(std, "std", count=len(self.mean), above=0)
        self.bgr = checks.flag(bgr, "bgr")

    def call(self, image):
        # In float32 first: a half-precision mean would shift every pixel by its rounding.
        x = ops.cast(image, "float32")
        scale = _constant([1 / s for s in self.std])
        shift = _constant([-m / s for m, s in zip(self.mean, self.std, strict=True)])
        x = x * scale + shift
        if self.bgr:
            x = ops.flip(x, axis=-1)
        return ops.cast(x, self.compute_dtype)

    def compute_output_spec(self, image):
        return keras.KerasTensor(image.shape, dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mean": self.mean, "std": self.std, "bgr": self.bgr}


def _constant(values):
    """One number where all are equal: exported files then scale whole rows at once, not three values at a time."""
    return ops.array(values[0] if len(set(values)) == 1 else values, dtype="float32")
