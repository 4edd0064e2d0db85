"""Checks of what the predictors are given: images and windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kseg import checks
from kseg.data.masks import kind_of
from kseg.errors import DataError, SettingsError
from kseg.io.bands import as_bands


def checked_image(image: np.ndarray, info: Any = None) -> np.ndarray:
    """An image as uint8 or float32 (height, width, 3), RGB 0-255; DataError for anything else.

    Args:
        image: the image.
        info: `ModelInfo` of a model that takes other channels or values: the image is then checked as
            `kseg.io.bands.as_bands` does it, and float32.
    """
    image = np.asarray(image)
    if info is not None and not info.is_rgb:
        return as_bands(image, "the image", info.channels, info.value_range).astype(np.float32)
    if image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        hint = ""
        if image.ndim == 2:
            hint = ": repeat a grey image three times, np.stack([image] * 3, axis=-1)"
        elif image.ndim == 3 and image.shape[-1] == 4:
            hint = ": leave the alpha channel out, image[..., :3]"
        elif image.ndim == 3 and image.shape[-1] == 1:
            hint = ": repeat a grey image three times, np.repeat(image, 3, axis=-1)"
        elif image.ndim == 3 and image.shape[0] in (1, 3, 4):
            hint = ": channels come last, image.transpose(1, 2, 0)"
        elif image.ndim == 4:
            hint = ": give one image at a time, or images of one size to `batch`"
        raise DataError(f"An image is RGB (height, width, 3); got an array of shape {image.shape}{hint}")
    if image.dtype == np.uint8:
        return image
    if image.dtype.kind != "f":
        hint = ""
        if image.dtype == np.uint16:
            hint = ": bring 16 bits to 8, (image / 257).astype('uint8')"
        elif image.dtype.kind in "iu":
            hint = ": where it holds 0-255, image.astype('uint8')"
        raise DataError(f"An image is uint8 or float, in 0-255; got {image.dtype}{hint}")
    check_range(image)
    return image.astype(np.float32, copy=False)


def check_range(image: np.ndarray) -> None:
    """DataError for numbers that are not an image's 0-255: NaN, 0 to 1, -1 to 1, 16 bits.

    Black is black in every range and passes. Of floats up to 2 only whole numbers from 0 on that reach 2 pass:
    resizing an image of 0 to 1 may overshoot 1 a little.
    """
    if image.dtype == np.uint8 or not image.size:
        return
    low, high = float(image.min()), float(image.max())  # either is NaN where a pixel is
    if not (np.isfinite(low) and np.isfinite(high)):
        raise DataError(
            f"An image has values in 0-255; got {low:g} to {high:g}: NaN and infinity are not colours"
        )
    if low < -0.25 and high <= 2:
        raise DataError(
            f"An image has values in 0-255; got {low:g} to {high:g}: the model normalises it itself. Of -1 to 1 make "
            "0-255 by (image + 1) * 127.5; of a normalised image give the original"
        )
    if image.dtype.kind == "f" and 0 < high < 2 and (high <= 1 or (image % 1).any()):
        raise DataError(
            f"An image has values in 0-255; got {low:g} to {high:g}, which would be taken for black: multiply an "
            "image of 0 to 1 by 255"
        )
    if not (low > -1 and high < 256):
        raise DataError(
            f"An image has values in 0-255; got {low:g} to {high:g}: the model normalises it itself"
            + ("; divide 16 bits by 257" if high > 256 and low >= 0 else "")
        )


def check_one_class(info: Any, what: str) -> None:
    """SettingsError where a model's classes overlap, for what needs one class a pixel."""
    if getattr(info, "multilabel", False):
        raise SettingsError(f"The classes of the model {info.name!r} overlap, and {what} needs one class a pixel")


def checked_threshold(threshold: float, num_classes: int, multilabel: bool = False) -> float:
    """A probability between 0 and 1; SettingsError for another than 0.5 where one of more than two classes wins."""
    threshold = checks.number(threshold, "threshold", above=0, below=1)
    if threshold != 0.5 and num_classes != 2 and not multilabel:
        raise SettingsError(
            f"A threshold is for models of one channel or two classes; of {num_classes} the most probable is taken"
        )
    return threshold


def checked_window(
    window: int | Sequence[int] | None, fixed: tuple[int, int] | None, least: int
) -> tuple[int, int] | None:
    """(height, width) of windows; that of a model of a fixed size where none is asked for.

    SettingsError for windows below `least`, the model's output stride, or other than the fixed size.
    """
    if window is None:
        return fixed
    pair = checks.pair(window, "window")
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


def check_images(info: Any, dataset: Any) -> None:
    """SettingsError where a data set's images, or the meaning of its masks, are not what a model takes and gives."""
    for what, theirs in kind_of(dataset)._asdict().items():
        ours = getattr(info, what)
        if ours != theirs:
            raise SettingsError(
                f"The model {info.name!r} has {what}={_as_text(ours)}, and the data set {dataset.name} "
                f"{what}={_as_text(theirs)}: build the model, or load the data, with the same"
            )


def _as_text(value: Any) -> str:
    return f"({value[0]:g}, {value[1]:g})" if isinstance(value, tuple) else str(value)
