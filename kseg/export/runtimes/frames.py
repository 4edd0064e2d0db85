"""`Frames`: an exported file ready for single images of one size, and what pixels its input takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError

RANGES = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}


@dataclass(frozen=True)
class Frames:
    """Runs one RGB image, uint8 (height, width, 3), and gives the raw output without its batch.

    Attributes:
        run: the function.
        size: the fixed (height, width), or None where any goes in.
        output: what the values are, "logits", "probabilities" or "labels".
        names, palette: of the classes, or None.
    """

    run: Callable[[np.ndarray], np.ndarray]
    size: tuple[int, int] | None
    output: str
    names: Sequence[str] | None = None
    palette: Sequence[Sequence[int]] | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self.run(image)


def scaled(image: np.ndarray, values: tuple[float, float]) -> np.ndarray:
    """Pixels from 0-255 to a range, float32."""
    low, high = values
    return image * np.float32((high - low) / 255) + np.float32(low)


def pixel_table(dtype: np.dtype, quantization: tuple[float, int], values: str | None) -> np.ndarray | None:
    """What a TFLite input takes for each of the 256 values of a pixel; None where it is the pixel itself.

    Of a foreign quantised input whose range is not said, the 256 values are taken for the pixels.
    """
    byte, (scale, zero) = np.arange(256, dtype=np.uint8), quantization
    if dtype.kind == "f":
        return scaled(byte, RANGES[values or "-1..1"]).astype(dtype)
    if not scale or (values is None and dtype.itemsize == 1):
        found = (byte ^ 128).view(np.int8) if dtype == np.int8 else byte.astype(dtype)
    else:
        limits = np.iinfo(dtype)
        found = np.round(scaled(byte, RANGES[values or "-1..1"]) / np.float32(scale)) + zero
        found = np.clip(found, limits.min, limits.max).astype(dtype)
    return None if found.dtype == np.uint8 and (found == byte).all() else found


def fixed_size(shape: Any) -> tuple[int, int] | None:
    """(height, width) of a shape (batch, height, width, channels), where both are known."""
    sides = tuple(shape)[1:3]
    known = all(isinstance(side, int | np.integer) and side > 0 for side in sides)
    return (int(sides[0]), int(sides[1])) if known else None


def fitting(images: Any, shape: Sequence[Any], path: Path) -> np.ndarray:
    """The images as an array; ModelError where a file takes others. A side that is not a number above 0 is free."""
    images = np.asarray(images)
    sides = [int(s) if isinstance(s, int | np.integer) and s > 0 else None for s in shape]
    fits = images.ndim == len(sides) and 0 not in images.shape and images.dtype.kind in "uif"
    if not fits or any(own not in (None, s) for own, s in zip(sides, images.shape, strict=True)):
        takes = ", ".join("any" if side is None else str(side) for side in sides)
        raise ModelError(f"{path} takes images ({takes}) of numbers, got {images.dtype} {images.shape}")
    return images
