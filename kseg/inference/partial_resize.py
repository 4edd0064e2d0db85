"""Bilinear resizing of a part of a map, without the rest of it."""

from __future__ import annotations

import numpy as np

Span = tuple[int, int]


def resized_part(
    lines: np.ndarray, offset: Span, length: Span, size: Span, rows: Span, columns: Span
) -> np.ndarray:
    """A part of a map resized bilinearly, computed without the rest of it.

    Args:
        lines: (h, w, channels), the map's lines from row `offset[0]` and column `offset[1]` on, as many
            as `source_span` asks for.
        length: (height, width) of the whole map.
        size: (height, width) of the whole map after resizing.
        rows, columns: the part wanted, half-open, in the resized map.

    Returns:
        float32 (rows, columns, channels). Samples lie at pixel centres, without antialiasing, as in
        `tf.image.resize`, OpenCV and PyTorch.
    """
    part = _interpolate(lines, 0, offset[0], length[0], size[0], rows)
    part = _interpolate(part, 1, offset[1], length[1], size[1], columns)
    return part.astype(np.float32, copy=False)


def source_span(length: int, size: int, part: Span) -> Span:
    """The lines of a side of `length` that lines `part` of it resized to `size` are interpolated
    from."""
    if length == size:
        return part
    low, high, _ = _taps(length, size, part)
    return int(low[0]), int(high[-1]) + 1


def _taps(length: int, size: int, part: Span) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each line of `part`: its two source lines, and the weight of the second."""
    position = np.clip((np.arange(*part) + 0.5) * (length / size) - 0.5, 0, length - 1)
    low = np.floor(position).astype(np.intp)
    return low, np.minimum(low + 1, length - 1), (position - low).astype(np.float32)


def _interpolate(lines: np.ndarray, axis: int, offset: int, length: int, size: int, part: Span) -> np.ndarray:
    if length == size:
        return (
            lines[part[0] - offset : part[1] - offset]
            if axis == 0
            else lines[:, part[0] - offset : part[1] - offset]
        )
    low, high, weight = _taps(length, size, part)
    below = np.take(lines, low - offset, axis).astype(np.float32, copy=False)
    above = np.take(lines, high - offset, axis).astype(np.float32)
    above -= below
    above *= weight[:, None, None] if axis == 0 else weight[:, None]
    above += below
    return above
