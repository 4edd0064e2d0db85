"""`BilinearUpsampling`: FCN's transposed convolution that starts as bilinear interpolation."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kseg import checks
from kseg.ops.resize import resize, spatial_shape


def bilinear_kernel(factor: int) -> np.ndarray:
    """The filter `(k, k)`, k = 2 factor - factor % 2, with which a transposed convolution interpolates bilinearly.

    Source: Shelhamer et al., released `surgery.py`, `upsample_filt`.
    """
    size = 2 * factor - factor % 2
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    line = 1 - np.abs(np.arange(size) - centre) / factor
    return np.outer(line, line).astype("float32")


@keras.saving.register_keras_serializable(package="kseg")
class BilinearUpsampling(keras.layers.Layer):
    """Upsamples a map by a whole factor with FCN's transposed convolution.

    The kernel has `2 * factor - factor % 2` rows and columns and starts as bilinear interpolation of each
    channel by itself (a `channels x channels x k x k` kernel that is zero off the diagonal). Beyond the
    border the map counts as zero, as in any transposed convolution, so scores fade towards the outermost
    pixels.

    Args:
        factor: whole number, at least 1.
        learned: True makes the dense kernel a trainable weight (Long et al., section 3.3). False keeps the
            interpolation fixed and has no weights; it then runs as a resize with the same results.
        padding: "same" gives `factor * size`, centred. "valid" gives all of `(size - 1) * factor + k`, for
            networks that crop to the image by an offset (the released FCN).
        **kwargs: `name`, `dtype` and `trainable` of a Keras layer.

    Raises:
        SettingsError: a factor below 1, or an unknown padding.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, new height, new width, channels)`.

    Reference:
        Shelhamer et al., "Fully convolutional networks for semantic segmentation", TPAMI 2017, section 3.3.

    Example:

    >>> kseg.layers.BilinearUpsampling(2)(np.ones((1, 3, 4, 5))).shape
    TensorShape([1, 6, 8, 5])
    """

    def __init__(self, factor: int, learned: bool = False, padding: str = "same", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor, self.learned = checks.whole(factor, "factor"), checks.flag(learned, "learned")
        self.padding = checks.one_of(padding, "padding", ("same", "valid"))

    @property
    def kernel_size(self) -> int:
        return 2 * self.factor - self.factor % 2

    def build(self, input_shape):
        if not self.learned:
            return
        channels = input_shape[-1]
        diagonal = bilinear_kernel(self.factor)[:, :, None, None] * np.eye(channels, dtype="float32")
        self.kernel = self.add_weight(
            name="kernel", shape=diagonal.shape, initializer=lambda shape, dtype: ops.cast(diagonal, dtype)
        )

    def call(self, x):
        if self.learned:
            return ops.conv_transpose(
                x, self.kernel, strides=self.factor, padding=self.padding, data_format="channels_last"
            )
        # Bilinear resizing of the map with a border of zeros is what the transposed convolution computes.
        factor = self.factor
        height, width = spatial_shape(x)
        x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        y = resize(x, ((height + 2) * factor, (width + 2) * factor))
        start = factor if self.padding == "same" else (factor + 1) // 2
        return y[:, start : start + self._upsampled(height), start : start + self._upsampled(width)]

    def _upsampled(self, size: Any) -> Any:
        return size * self.factor if self.padding == "same" else (size - 1) * self.factor + self.kernel_size

    def compute_output_shape(self, input_shape):
        height, width = (None if s is None else self._upsampled(s) for s in input_shape[1:3])
        return (input_shape[0], height, width, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "factor": self.factor,
            "learned": self.learned,
            "padding": self.padding,
        }
