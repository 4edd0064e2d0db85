"""Averaging over overlapping windows and scales in fixed memory: how a large image is predicted.

`Predictor` says what is averaged; nothing here knows of a model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kseg.inference.partial_resize import Span, resized_part, source_span
from kseg.progress import Progress

Predict = Callable[[np.ndarray], np.ndarray]  # float32 tiles (n, h, w, 3) -> probabilities (n, h, w, classes)

STRIP_ROWS = 128  # rows of the result that are finished together
STRIP_BYTES = 2**28  # of them where one window is the whole image: it is resized in strips
SUMS_BYTES = 2**30  # of sums under way, over all scales; wider images are done in bands of columns


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along one side: every `stride` pixels, the last shifted back to end with the
    side.

    Source: the released test code of PSPNet (`hszhao/PSPNet`, `evaluation/scale_process.m`).
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


@dataclass(frozen=True)
class WindowGrid:
    """How the windows lie over an image at one scale.

    `size`: (height, width) of the scaled image. `window`: (height, width) of a window; it exceeds
    `size` where the image is padded up to it. `stride`: (vertical, horizontal).
    """

    size: Span
    window: Span
    stride: Span

    @property
    def tops(self) -> list[int]:
        return window_starts(self.size[0], self.window[0], self.stride[0])

    def lefts(self, columns: Span) -> list[int]:
        """The left sides of the windows that touch some columns of the scaled image."""
        starts = window_starts(self.size[1], self.window[1], self.stride[1])
        return [x for x in starts if x < columns[1] and x + self.window[1] > columns[0]]

    def count(self, columns: Span) -> int:
        return len(self.tops) * len(self.lefts(columns))


def averaged_parts(
    image: np.ndarray,
    size: Span,
    grids: Sequence[WindowGrid],
    predict: Predict,
    num_classes: int,
    batch_sizes: Sequence[int],
    fill: tuple[float, float, float],
    progress: Progress | None = None,
) -> Iterator[tuple[Span, Span, np.ndarray]]:
    """The averaged probabilities of an image, part by part: band by band of columns, and from top to bottom.

    Args:
        image: `(H, W, 3)`; each row of windows is resized to its scale when its turn comes.
        size: (height, width) of the result.
        grids: where the windows lie, one grid for each scale.
        predict: probabilities of a batch of windows.
        num_classes: number of classes.
        batch_sizes: windows per call of `predict`, for each grid.
        fill: colour of what lies outside the image.
        progress: called with (windows done, windows in all).

    Yields:
        (rows, columns, probabilities): half-open spans of the result, float32 (rows, columns, classes).
    """
    height, width = size
    strip = STRIP_ROWS
    if all(grid.count((0, grid.size[1])) == 1 for grid in grids):
        strip = min(max(STRIP_BYTES // (width * num_classes * 4), 1), height)
    bands = column_bands(grids, size, strip, num_classes)
    total, done = sum(one.count(_columns_of(one, width, band)) for one in grids for band in bands), 0

    def counted(tiles: np.ndarray) -> np.ndarray:
        nonlocal done
        probabilities = predict(tiles)
        done += len(tiles)
        if progress is not None:
            progress(done, total)
        return probabilities

    for columns in bands:
        averages = []
        for grid, batch_size in zip(grids, batch_sizes, strict=True):
            most_rows = math.ceil(strip * grid.size[0] / height) + 3
            span = _columns_of(grid, width, columns)
            averages.append(
                WindowAverage(image, grid, span, counted, num_classes, batch_size, fill, most_rows)
            )
        for top in range(0, height, strip):
            rows = (top, min(top + strip, height))
            summed = None
            for average in averages:
                scaled = average.grid.size
                top_row, bottom_row = source_span(scaled[0], size[0], rows)
                left, _ = _columns_of(average.grid, width, columns)
                part = average.rows(top_row, bottom_row)
                part = resized_part(part, (top_row, left), scaled, size, rows, columns)
                summed = part if summed is None else summed + part
            several = len(averages) > 1
            yield rows, columns, summed / np.float32(len(averages)) if several else summed


def column_bands(grids: Sequence[WindowGrid], size: Span, strip: int, num_classes: int) -> list[Span]:
    """Columns of the result that are worked on together, so that the sums under way stay within
    SUMS_BYTES."""
    height, width = size
    if all(grid.count((0, grid.size[1])) == 1 for grid in grids):
        return [(0, width)]
    rows = sum((min(x.window[0], x.size[0]) + strip * x.size[0] / height) * x.size[1] / width for x in grids)
    wide = max(int(SUMS_BYTES / (rows * num_classes * 4)), 1)
    count = math.ceil(width / wide)
    edges = [width * i // count for i in range(count + 1)]
    return list(itertools.pairwise(edges))


def _columns_of(grid: WindowGrid, width: int, columns: Span) -> Span:
    """The columns of the scaled image that some columns of the result are interpolated from."""
    return source_span(grid.size[1], width, columns)


class WindowAverage:
    """The averaged probabilities of an image at one scale, from top to bottom, for a band of columns.

    Holds a window's height of probabilities and no more, however tall the image is.

    Args:
        image: (H, W, 3), the image in its own size; each row of windows is resized when its turn comes.
        grid: where the windows lie.
        columns: the band, half-open, in columns of the scaled image.
        predict: float32 tiles (n, h, w, 3) -> float32 probabilities (n, h, w, num_classes).
        num_classes: number of classes.
        batch_size: tiles per call of `predict`.
        fill: colour of what lies outside the image.
        most_rows: the tallest part that `rows` will be asked for.
    """

    def __init__(
        self,
        image: np.ndarray,
        grid: WindowGrid,
        columns: Span,
        predict: Callable[[np.ndarray], np.ndarray],
        num_classes: int,
        batch_size: int,
        fill: tuple[float, float, float],
        most_rows: int,
    ):
        self._image, self.grid, self._columns, self._fill = image, grid, columns, fill
        self._predict, self._batch_size = predict, batch_size
        self._tops, self._lefts = grid.tops, grid.lefts(columns)
        (height, width), window = grid.size, grid.window
        self._row_counts = cover_counts(height, window[0], self._tops)
        self._column_counts = cover_counts(width, window[1], self._lefts)[slice(*columns)]
        self._next = 0  # the next row of windows
        self._first = 0  # the row of the scaled image that the sums begin with
        self._sums = None
        if len(self._tops) > 1 or len(self._lefts) > 1:
            tall = min(window[0] + most_rows, height)
            self._sums = np.zeros((tall, columns[1] - columns[0], num_classes), np.float32)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Probabilities (stop - start, columns, classes) of rows of the scaled image; valid until the next
        call.

        `start` must not lie before that of the call before: what lies above it is forgotten.
        """
        (height, _), (begin, end) = self.grid.size, self._columns
        # Rows above the next window get no further one.
        while self._next < len(self._tops) and self._tops[self._next] < stop:
            top = self._tops[self._next]
            self._forget(min(start, top))
            for lefts, probabilities in self._row_of_windows(top):
                for left, tile in zip(lefts, probabilities, strict=True):
                    from_, to = max(left, begin), min(left + tile.shape[1], end)
                    tile = tile[: height - top, from_ - left : to - left]
                    if self._sums is None:  # the only window
                        self._sums = tile
                    else:
                        rows = slice(top - self._first, top - self._first + len(tile))
                        self._sums[rows, from_ - begin : to - begin] += tile
            self._next += 1
        part = self._sums[start - self._first : stop - self._first]
        counts = self._row_counts[start:stop, None] * self._column_counts
        return part / counts[..., None].astype(np.float32) if counts.max() > 1 else part

    def _row_of_windows(self, top: int) -> Iterator[tuple[list[int], np.ndarray]]:
        (height, width), (tall, wide) = self.grid.size, self.grid.window
        begin, end = self._lefts[0], min(self._lefts[-1] + wide, width)
        # The rows and columns of the image that the row of windows is interpolated from, and no others.
        length, rows = self._image.shape[:2], (top, min(top + tall, height))
        above, below = source_span(length[0], height, rows)
        before, after = source_span(length[1], width, (begin, end))
        source = self._image[above:below, before:after]
        band = resized_part(source, (above, before), length, self.grid.size, rows, (begin, end))
        for at in range(0, len(self._lefts), self._batch_size):
            lefts = self._lefts[at : at + self._batch_size]
            tiles = np.empty((len(lefts), tall, wide, band.shape[-1]), np.float32)
            if band.shape[0] < tall or band.shape[1] < wide:
                tiles[:] = self._fill
            for tile, left in zip(tiles, lefts, strict=True):
                piece = band[:, left - begin : left - begin + wide]
                tile[: piece.shape[0], : piece.shape[1]] = piece
            yield lefts, self._predict(tiles)

    def _forget(self, keep: int) -> None:
        """Move the sums up so that they begin with row `keep`, in place."""
        gone = keep - self._first
        if gone <= 0 or self._sums is None:
            return
        kept = max(len(self._sums) - gone, 0)
        for row in range(kept):  # row by row: one assignment would copy the whole overlap first
            self._sums[row] = self._sums[row + gone]
        self._sums[kept:] = 0
        self._first = keep
