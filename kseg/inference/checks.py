"""Checks of what the predictors are given: pictures and sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kseg.errors import DataError, SettingsError


def checked_image(image: np.ndarray) -> np.ndarray:
    """A picture as uint8 or float32 (height, width, 3), RGB 0-255; DataError for anything else."""
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        hint = ""
        if image.ndim == 2:
            hint = ": repeat a grey picture three times"
        elif image.ndim == 3 and image.shape[-1] == 4:
            hint = ": leave the alpha channel out"
        raise DataError(f"An image is RGB (height, width, 3); got an array of shape {image.shape}{hint}")
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind != "f":
        raise DataError(f"An image is uint8 or float, in 0-255; got {image.dtype}")
    low, high = float(image.min()), float(image.max())  # either is NaN where a pixel is
    if not (low > -1 and high < 256):
        raise DataError(
            f"An image has values in 0-255; got {low:g} to {high:g}: the model normalises it itself"
        )
    return image.astype(np.float32, copy=False)


def as_pair(sides: int | Sequence[int] | None, what: str) -> tuple[int, int] | None:
    """(height, width) of a pair or of one whole number; None stays None. `what` begins the SettingsError."""
    if sides is None:
        return None
    pair = tuple(sides) if isinstance(sides, (tuple, list)) else (sides, sides)
    if len(pair) != 2 or not all(isinstance(side, (int, np.integer)) and side > 0 for side in pair):
        raise SettingsError(f"{what} is (height, width) or one whole number of pixels; got {sides!r}")
    return int(pair[0]), int(pair[1])
