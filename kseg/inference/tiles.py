"""Windows over a picture: where they lie, and the sweep that averages what they say, a few rows at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Span = tuple[int, int]


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one side: every ``stride`` pixels, the last shifted back to end with the
    side.

    Source: the released test code of PSPNet (``hszhao/PSPNet``, ``evaluation/scale_process.m``).
    """
    if window >= length:
        return [0]
    return [*range(0, length - window, stride), length - window]


def cover_counts(length: int, window: int, starts: list[int]) -> np.ndarray:
    """How many windows cover each pixel of one side: int64 (length,)."""
    counts = np.zeros(length, np.int64)
    for start in starts:
        counts[start : start + window] += 1
    return counts


def resized_part(
    lines: np.ndarray, offset: Span, length: Span, size: Span, rows: Span, columns: Span
) -> np.ndarray:
    """A part of a map resized bilinearly, computed without the rest of it.

    Args:
        lines: (h, w, channels), the map's lines from row ``offset[0]`` and column ``offset[1]`` on, as many
            as ``source_span`` asks for.
        length: (height, width) of the whole map.
        size: (height, width) of the whole map after resizing.
        rows, columns: the part wanted, half-open, in the resized map.

    Returns:
        float32 (rows, columns, channels). Samples lie at pixel centres, without antialiasing, as in
        ``tf.image.resize``, OpenCV and PyTorch.
    """
    part = _interpolate(lines, 0, offset[0], length[0], size[0], rows)
    part = _interpolate(part, 1, offset[1], length[1], size[1], columns)
    return part.astype(np.float32, copy=False)


def source_span(length: int, size: int, part: Span) -> Span:
    """The lines of a side of ``length`` that lines ``part`` of it resized to ``size`` are interpolated
    from."""
    if length == size:
        return part
    low, high, _ = _taps(length, size, part)
    return int(low[0]), int(high[-1]) + 1


def _taps(length: int, size: int, part: Span) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each line of ``part``: its two source lines, and the weight of the second."""
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


@dataclass(frozen=True)
class Layout:
    """How the windows lie over a picture at one scale.

    ``size``: (height, width) of the scaled picture. ``window``: (height, width) of a window; it exceeds
    ``size`` where the picture is padded up to it. ``stride``: (vertical, horizontal).
    """

    size: Span
    window: Span
    stride: Span

    @property
    def tops(self) -> list[int]:
        return window_starts(self.size[0], self.window[0], self.stride[0])

    def lefts(self, columns: Span) -> list[int]:
        """The left sides of the windows that touch some columns of the scaled picture."""
        starts = window_starts(self.size[1], self.window[1], self.stride[1])
        return [x for x in starts if x < columns[1] and x + self.window[1] > columns[0]]

    def count(self, columns: Span) -> int:
        return len(self.tops) * len(self.lefts(columns))


class Sweep:
    """The averaged probabilities of a picture at one scale, from top to bottom, for a band of columns.

    Holds a window's height of probabilities and no more, however tall the picture is.

    Args:
        image: (H, W, 3), the picture in its own size; each row of windows is resized when its turn comes.
        layout: where the windows lie.
        columns: the band, half-open, in columns of the scaled picture.
        predict: float32 tiles (n, h, w, 3) -> float32 probabilities (n, h, w, num_classes).
        num_classes: number of classes.
        batch_size: tiles per call of ``predict``.
        fill: colour of what lies outside the picture.
        most_rows: the tallest part that ``rows`` will be asked for.
    """

    def __init__(
        self,
        image: np.ndarray,
        layout: Layout,
        columns: Span,
        predict: Callable[[np.ndarray], np.ndarray],
        num_classes: int,
        batch_size: int,
        fill: tuple[float, float, float],
        most_rows: int,
    ):
        self._image, self._layout, self._columns, self._fill = image, layout, columns, fill
        self._predict, self._batch_size = predict, batch_size
        self._tops, self._lefts = layout.tops, layout.lefts(columns)
        (height, width), window = layout.size, layout.window
        self._row_counts = cover_counts(height, window[0], self._tops)
        self._column_counts = cover_counts(width, window[1], self._lefts)[slice(*columns)]
        self._next = 0  # the next row of windows
        self._first = 0  # the row of the scaled picture that the sums begin with
        self._sums = None
        if len(self._tops) > 1 or len(self._lefts) > 1:
            tall = min(window[0] + most_rows, height)
            self._sums = np.zeros((tall, columns[1] - columns[0], num_classes), np.float32)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Probabilities (stop - start, columns, classes) of rows of the scaled picture; valid until the next
        call.

        ``start`` must not lie before that of the call before: what lies above it is forgotten.
        """
        while self._finished < stop:
            self._advance(start)
        part = self._sums[start - self._first : stop - self._first]
        counts = self._row_counts[start:stop, None] * self._column_counts
        return part / counts[..., None].astype(np.float32) if counts.max() > 1 else part

    @property
    def _finished(self) -> int:
        """Rows above this one get no further window."""
        return self._tops[self._next] if self._next < len(self._tops) else self._layout.size[0]

    def _advance(self, keep: int) -> None:
        """Predict the next row of windows; rows above ``keep`` are no longer needed."""
        top = self._tops[self._next]
        self._forget(min(keep, top))
        for lefts, probabilities in self._row_of_windows(top):
            for left, tile in zip(lefts, probabilities, strict=True):
                self._add(top, left, tile)
        self._next += 1

    def _row_of_windows(self, top: int) -> Iterator[tuple[list[int], np.ndarray]]:
        (height, width), (tall, wide) = self._layout.size, self._layout.window
        begin, end = self._lefts[0], min(self._lefts[-1] + wide, width)
        band = self._scaled((top, min(top + tall, height)), (begin, end))
        for at in range(0, len(self._lefts), self._batch_size):
            lefts = self._lefts[at : at + self._batch_size]
            tiles = np.empty((len(lefts), tall, wide, 3), np.float32)
            if band.shape[0] < tall or band.shape[1] < wide:
                tiles[:] = self._fill
            for tile, left in zip(tiles, lefts, strict=True):
                piece = band[:, left - begin : left - begin + wide]
                tile[: piece.shape[0], : piece.shape[1]] = piece
            yield lefts, self._predict(tiles)

    def _scaled(self, rows: Span, columns: Span) -> np.ndarray:
        length, size = self._image.shape[:2], self._layout.size
        top, bottom = source_span(length[0], size[0], rows)
        left, right = source_span(length[1], size[1], columns)
        return resized_part(self._image[top:bottom, left:right], (top, left), length, size, rows, columns)

    def _add(self, top: int, left: int, tile: np.ndarray) -> None:
        (height, _), (begin, end) = self._layout.size, self._columns
        from_, to = max(left, begin), min(left + tile.shape[1], end)
        tile = tile[: height - top, from_ - left : to - left]
        if self._sums is None:  # the only window
            self._sums = tile
            return
        self._sums[top - self._first : top - self._first + len(tile), from_ - begin : to - begin] += tile

    def _forget(self, keep: int) -> None:
        """Move the sums up so that they begin with row ``keep``, in place."""
        gone = keep - self._first
        if gone <= 0 or self._sums is None:
            return
        kept = max(len(self._sums) - gone, 0)
        for row in range(kept):  # row by row: one assignment would copy the whole overlap first
            self._sums[row] = self._sums[row + gone]
        self._sums[kept:] = 0
        self._first = keep
