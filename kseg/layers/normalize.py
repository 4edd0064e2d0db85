"""`Normalize`: the model's first layer."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kseg")
class Normalize(keras.layers.Layer):
    """Turns an RGB image of 0-255 into what a backbone's weights were trained on: `(image - mean) / std`.

    As the first layer of a model it travels with the weights, so that training, export and serving cannot
    disagree about preprocessing.

    Args:
        mean: per-channel mean, in the 0-255 range and in the order red, green, blue.
        std: per-channel divisor, same range and order.
        bgr: True flips the channels to blue, green, red after normalising (Caffe's order, as the original VGG
            weights and keras.applications' "caffe" mode expect).

    Input: `(batch, height, width, 3)`, 0-255. Output: same shape, the layer's compute dtype.
    """

    def __init__(self, mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5), bgr=False, **kwargs):
        super().__init__(**kwargs)
        self.mean = tuple(float(m) for m in mean)
        self.std = tuple(float(s) for s in std)
        self.bgr = bool(bgr)
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"`mean` and `std` need 3 values, `std` positive; got {mean} and {std}")

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

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "std": self.std, "bgr": self.bgr}


def _constant(values):
    """One number where all are equal: exported files then scale whole rows at once, not three values at a time."""
    return ops.array(values[0] if len(set(values)) == 1 else values, dtype="float32")
