"""Polygons and run lengths as masks, pixel by pixel as COCO's own tool makes them.

Reference: cocodataset/cocoapi, `common/maskApi.c`, `rleFrPoly`, `rleFrString` and `rleToString`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FINER = 5  # edges are followed on a grid five times as fine
_FARTHEST = 1e12  # pixels; beyond it an edge has no exact place in the image
_AT_ONCE = 2**20  # crossings
_LONGEST = 60  # bits of a run length


def fill_polygon(points: Sequence[float] | np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels within a polygon.

    Args:
        points: x and y of its corners in pixels, flat (x0, y0, x1, y1, ...) or `(corners, 2)`; pixel centres lie at
            .5. They may lie outside of the image.
        height, width: of the image.

    Returns:
        bool array of shape `(height, width)`. Time and memory grow with the image and the number of corners, not with
        how far they lie outside.

    Raises:
        ValueError: a corner more than 1e12 pixels away.

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
    if np.abs(corners).max() > _FARTHEST:
        raise ValueError(f"a corner {np.abs(corners).max():g} pixels away; expected {_FARTHEST:g} at most")
    # C's conversion to int cuts towards zero.
    ends = np.trunc(_FINER * corners + 0.5)
    edges = np.concatenate([ends, np.roll(ends, -1, axis=0)], axis=1)
    middle = _FINER // 2  # a column is crossed between its points 2 and 3
    lowest, highest = np.min(edges[:, ::2], axis=1), np.max(edges[:, ::2], axis=1)
    first = np.maximum(np.ceil((lowest - middle) / _FINER), 0).astype(np.int64)
    last = np.minimum(np.floor((highest - 1 - middle) / _FINER), width - 1).astype(np.int64)
    crossing = last >= first
    if not crossing.any():
        return np.zeros((height, width), bool)
    edges, first, last = edges[crossing], first[crossing], last[crossing]
    left, right = int(first.min()), int(last.max()) + 1
    turns = np.zeros((right - left) * height + 1, np.uint8)
    step = max(_AT_ONCE // (right - left), 1)
    for start in range(0, len(edges), step):
        part = slice(start, start + step)
        counts = last[part] - first[part] + 1
        number = np.repeat(np.arange(len(counts)), counts)
        columns = np.arange(len(number)) - np.repeat(np.cumsum(counts) - counts, counts) + first[part][number]
        lower = (_crossed(edges[part][number].T, _FINER * columns + middle) + 0.5) / _FINER - 0.5
        rows = np.ceil(np.clip(lower, 0, height)).astype(np.int64)
        np.add.at(turns, (columns - left) * height + rows, 1)
    # Column by column, the inside begins and ends where an edge crosses; a count that wraps keeps its parity.
    inside = np.cumsum(turns[:-1], dtype=np.uint8) % 2
    found = np.zeros((height, width), bool)
    found[:, left:right] = inside.reshape(right - left, height).T
    return found


def _crossed(edges: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The upper of the two points of the fine grid between which each edge (x0, y0, x1, y1) leaves column `at`.

    The points are those of `rleFrPoly`: one for each column of a flat edge, one for each row of a steep edge.
    """
    flat = np.abs(edges[2] - edges[0]) >= np.abs(edges[3] - edges[1])
    flip = np.where(flat, edges[0] > edges[2], edges[1] > edges[3])
    x0, y0, x1, y1 = np.where(flip, edges[[2, 3, 0, 1]], edges)
    slope = np.where(flat, y1 - y0, x1 - x0) / np.where(flat, x1 - x0, y1 - y0)
    steps = np.ceil((at + 0.5 - x0) / np.where(flat, 1, slope))
    along = [np.trunc(y0 + slope * (at + beyond - x0) + 0.5) for beyond in (0, 1)]
    # Of a steep edge the first row that lies on the other side; the division may miss it by one.
    for _ in range(2):
        steps = np.where(_beyond(x0, slope, steps - 1, at), steps - 1, steps)
    for _ in range(2):
        steps = np.where(_beyond(x0, slope, steps, at), steps, steps + 1)
    return np.where(flat, np.minimum(*along), y0 + steps - 1)


def _beyond(x0: np.ndarray, slope: np.ndarray, steps: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Whether a steep edge has left the column after some rows."""
    right = x0 + slope * steps + 0.5 >= at + 1
    return right == (slope > 0)


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
            if shift > _LONGEST:
                raise ValueError("compressed run lengths with a number without end")
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
