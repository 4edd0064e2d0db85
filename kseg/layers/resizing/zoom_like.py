"""`ZoomLike`: the name that a way of `ResizeLike` has in files of the first versions."""

from typing import Any

import keras

from kseg.layers.resizing.resize_like import ResizeLike


@keras.saving.register_keras_serializable(package="kseg")
class ZoomLike(ResizeLike):
    """`ResizeLike(align_corners=True, factor=factor)`: cell i stands over pixel `factor * i` exactly.

    Args:
        factor: pixels from one cell to the next, a whole number.

    Input shape: a list `[x, like]` of `(batch, h, w, channels)` and `(batch, height, width, any)`, with
    `h * factor >= height` and likewise for the width.

    Output shape: `(batch, height, width, channels)`.

    Raises:
        SettingsError: a factor below 1, or a fraction.
    """

    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(align_corners=True, factor=factor, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["method"], config["align_corners"]
        return config
