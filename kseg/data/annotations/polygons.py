"""Polygons and run lengths as masks, pixel by pixel as COCO's own tool makes them.

Reference: cocodataset/cocoapi, `common/maskApi.c`, `rleFrPoly`, `rleFrString` and `rleToString`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FINER = 5  # edges are followed on a grid five times as fine


def fill_polygon(points: Sequence[float] | np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels within a polygon.

    Args:
        points: x and y of its corners in pixels, flat (x0, y0, x1, y1, ...) or `(corners, 2)`; pixel centres lie at
            .5. They may lie outside of the image.
        height, width: of the image.

    Returns:
        bool array of shape `(height, width)`.

    Example:

    >>> from kseg.data.annotations.polygons import fill_polygon
    >>> fill_polygon([1, 1, 4, 1, 4, 3, 1, 3], 4, 5).astype(int)
    array([[0, 0, 0, 0, 0],
           [0, 1, 1, 1, 0],
           [0, 1, 1, 1, 0],
           [0, 0, 0, 0, 0]])
    """
    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if len(corners) < 3:
        return np.zeros((height, width), bool)
    # C's conversion to int cuts towards zero.
    x, y = np.trunc(_FINER * corners + 0.5).astype(np.int64).T
    edges = [_edge(x[i - 1], y[i - 1], x[i], y[i]) for i in [*range(1, len(x)), 0]]
    u, v = (np.concatenate(parts) for parts in zip(*edges, strict=True))
    crossed = np.flatnonzero(u[1:] != u[:-1]) + 1
    left = np.where(u[crossed] < u[crossed - 1], u[crossed], u[crossed] - 1)
    column = (left + 0.5) / _FINER - 0.5
    lower = (np.minimum(v[crossed], v[crossed - 1]) + 0.5) / _FINER - 0.5
    row = np.ceil(np.clip(lower, 0, height)).astype(np.int64)
    kept = (np.floor(column) == column) & (column >= 0) & (column <= width - 1)
    # Column by column, the inside begins and ends where an edge crosses.
    turns = column[kept].astype(np.int64) * height + row[kept]
    inside = np.cumsum(np.bincount(turns, minlength=height * width + 1)[: height * width]) % 2
    return inside.astype(bool).reshape(width, height).T


def _edge(x0: int, y0: int, x1: int, y1: int) -> tuple[np.ndarray, np.ndarray]:
    """The points of the fine grid along an edge, both ends included, in its direction."""
    across, down = abs(x1 - x0), abs(y1 - y0)
    flat = across >= down
    flip = x0 > x1 if flat else y0 > y1
    if flip:
        x0, y0, x1, y1 = x1, y1, x0, y0
    steps = np.arange(max(across, down) + 1)
    steps = steps[::-1] if flip else steps
    if flat:
        slope = (y1 - y0) / across if across else 0.0
        return x0 + steps, np.trunc(y0 + slope * steps + 0.5).astype(np.int64)
    slope = (x1 - x0) / down
    return np.trunc(x0 + slope * steps + 0.5).astype(np.int64), y0 + steps


def fill_runs(counts: Sequence[int] | str | bytes, height: int, width: int) -> np.ndarray:
    """The mask of run lengths, column by column, beginning with zeros: a list, or COCO's compressed text.

    Raises:
        ValueError: They do not make up `height * width` pixels, or the text is damaged.
    """
    runs = _decompressed(counts) if isinstance(counts, (str, bytes)) else [int(count) for count in counts]
    if sum(runs) != height * width or any(run < 0 for run in runs):
        raise ValueError(f"run lengths of {sum(runs)} pixels for an image of {height}x{width}")
    values = np.arange(len(runs)) % 2
    return np.repeat(values, runs).astype(bool).reshape(width, height).T


def runs_of(mask: np.ndarray) -> list[int]:
    """The run lengths of a mask `(height, width)`, column by column, beginning with zeros."""
    flat = np.concatenate([[0], np.asarray(mask, bool).T.ravel().astype(np.int8)])
    turns = np.flatnonzero(np.diff(flat))
    ends = np.concatenate([[0], turns, [mask.size]])
    return np.diff(ends).tolist()


def _decompressed(text: str | bytes) -> list[int]:
    codes = text if isinstance(text, bytes) else text.encode("ascii", errors="replace")
    runs, at = [], 0
    while at < len(codes):
        value, shift, more = 0, 0, True
        while more:
            if at >= len(codes):
                raise ValueError("compressed run lengths that end early")
            code = codes[at] - 48
            if not 0 <= code < 64:
                raise ValueError("compressed run lengths with a character that does not belong there")
            value |= (code & 31) << shift
            more = bool(code & 32)
            at, shift = at + 1, shift + 5
            if not more and code & 16:
                value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
