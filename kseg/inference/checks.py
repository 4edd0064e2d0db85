"""Checks of what the predictors are given: pictures, sizes, scales and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from kseg.errors import DataError, SettingsError

LARGEST_SCALE = 1000  # beyond it a picture of any size has no end of windows


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
    if len(pair) != 2 or not all(_is_whole(side) and side > 0 for side in pair):
        raise SettingsError(f"{what} is (height, width) or one whole number of pixels; got {sides!r}")
    return int(pair[0]), int(pair[1])


def checked_scales(scales: float | Sequence[float]) -> tuple[float, ...]:
    """One scale or several as floats; SettingsError for what is no scale."""
    several = (
        tuple(scales) if isinstance(scales, (tuple, list, np.ndarray)) and np.ndim(scales) else (scales,)
    )
    if not several or not all(_is_number(scale) and 0 < scale <= LARGEST_SCALE for scale in several):
        raise SettingsError(
            f"Scales are numbers above 0, up to {LARGEST_SCALE}, such as (0.75, 1.0, 1.25); got {scales!r}"
        )
    return tuple(float(scale) for scale in several)


def checked_window(
    window: int | Sequence[int] | None, fixed: tuple[int, int] | None, least: int
) -> tuple[int, int] | None:
    """(height, width) of windows; that of a model of a fixed size where none is asked for.

    SettingsError for windows below ``least``, the model's output stride, or other than the fixed size.
    """
    pair = as_pair(window, "A window")
    if pair is None:
        return fixed
    if min(pair) < least:
        raise SettingsError(
            f"A window of {pair[0]}x{pair[1]} pixels is too small for this model, whose coarsest map has one "
            f"value for {least}x{least} pixels: take at least that, better the size it was trained on"
        )
    if fixed is not None and pair != fixed:
        raise SettingsError(
            f"This model takes only {fixed[0]}x{fixed[1]} pixels; got a window of {pair[0]}x{pair[1]}"
        )
    return pair


def checked_long_side(long_side: int | None, size: int | Sequence[int] | None) -> int | None:
    """Pixels of a picture's longer side, or None; SettingsError for what is no such number, and beside a size."""
    if long_side is None:
        return None
    if not (_is_whole(long_side) and long_side > 0):
        raise SettingsError(f"The longer side is a whole number of pixels from 1 on; got {long_side!r}")
    if size is not None:
        raise SettingsError("Give the size that pictures are brought to, or their longer side, not both")
    return int(long_side)


def checked_stride(stride: float) -> float:
    """The step between windows as a part of the window; SettingsError for another number."""
    if not _is_number(stride) or not 0 < stride <= 1:
        raise SettingsError(f"The stride is a part of the window, above 0 and at most 1; got {stride!r}")
    return float(stride)


def checked_batch_size(batch_size: int | None) -> int | None:
    """Windows a model call, or None; SettingsError for what is no such number."""
    if batch_size is not None and not (_is_whole(batch_size) and batch_size >= 1):
        raise SettingsError(f"The batch size is a whole number from 1 on, or None; got {batch_size!r}")
    return batch_size


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
