"""`DepthToSpace`: channels become pixels."""

from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError


@keras.saving.register_keras_serializable(package="kseg")
class DepthToSpace(keras.layers.Layer):
    """Upsamples by rearranging: each cell's `block * block * n` channels become `block` x `block` pixels of n channels.

    Behind a convolution this is the sub-pixel convolution of Shi et al.: a learned upsampling that costs no
    more than the convolution at the small size.

    Args:
        block: factor on height and width, at least 2.
        **kwargs: `name` and `dtype` of a Keras layer.

    Raises:
        SettingsError: a block below 2, or a number of channels that is not a multiple of `block * block`.

    Input shape:
        `(batch, height, width, block * block * n)`. The channels of one pixel are neighbours: those of the
        block's top left pixel come first, then those of the pixel to its right.

    Output shape:
        `(batch, block * height, block * width, n)`.

    Reference:
        Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional
        neural network", CVPR 2016.

    Example:

    >>> y = kseg.layers.DepthToSpace(2)(np.array([[[[1.0, 2.0, 3.0, 4.0]]]]))
    >>> np.asarray(y)[0, :, :, 0].tolist()
    [[1.0, 2.0], [3.0, 4.0]]
    """

    def __init__(self, block: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block = int(block)
        if self.block < 2:
            raise SettingsError(f"`block` must be at least 2, got {block}")

    def call(self, x):
        # One operation with this meaning in TensorFlow, LiteRT (DEPTH_TO_SPACE) and ONNX.
        return ops.cast(ops.depth_to_space(x, self.block), self.compute_dtype)

    def compute_output_spec(self, x):
        batch, height, width, channels = x.shape
        if channels % self.block**2:
            raise SettingsError(
                f"{channels} channels are not a multiple of {self.block**2}, the pixels of a block"
            )
        sides = (None if side is None else side * self.block for side in (height, width))
        return keras.KerasTensor((batch, *sides, channels // self.block**2), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block": self.block}
