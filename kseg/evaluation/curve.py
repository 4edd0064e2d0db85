"""The trimap curve as a picture: mean IoU near true edges, over the band's width."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from kseg.errors import DataError
from kseg.inference.text import INK, PAPER, fitted, put_text, text_width

# Of the picture, in pixels.
WIDTH, HEIGHT = 640, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 40, 52
FONT = 13
GRID = (222, 222, 222)
COLOURS = ((25, 90, 170), (200, 60, 35), (40, 130, 60), (140, 70, 160), (190, 130, 20), (90, 90, 90))
TICKS = 6  # about so many on an axis


def trimap_picture(curves: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Curves of mean IoU in a band around the true edges, each a line: uint8 RGB (height, width, 3).

    Args:
        curves: name for the legend -> mean IoU in the bands of 1, 2, ... pixels, as `TrimapIoU.curve` gives it; NaN
            leaves a gap.

    Raises:
        DataError: no curve, or none with a number in it.
    """
    drawn = {name: np.asarray(curve, np.float64) for name, curve in curves.items()}
    values = np.concatenate([curve[np.isfinite(curve)] for curve in drawn.values()]) if drawn else np.empty(0)
    if not values.size:
        raise DataError("a trimap curve needs mean IoUs to draw, there are none")
    axes = Axes(max(len(curve) for curve in drawn.values()), float(values.min()), float(values.max()))
    canvas = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    canvas[:] = PAPER
    axes.draw(canvas)
    for number, (name, curve) in enumerate(drawn.items()):
        colour = COLOURS[number % len(COLOURS)]
        _line(canvas, axes, curve, colour)
        _entry(canvas, fitted(name, FONT, 300), number, len(drawn), colour)
    return canvas


class Axes:
    """Where a width and a mean IoU stand in the picture."""

    def __init__(self, widest: int, lowest: float, highest: float):
        self.widest = max(widest, 2)
        self.step = _round_step(max(highest - lowest, 0.01) / TICKS)
        self.bottom = math.floor(lowest / self.step + 1e-9) * self.step
        self.top = max(math.ceil(highest / self.step - 1e-9) * self.step, self.bottom + self.step)

    def x(self, width: float) -> float:
        return LEFT + (width - 1) / (self.widest - 1) * (WIDTH - LEFT - RIGHT)

    def y(self, iou: float) -> float:
        return HEIGHT - BOTTOM - (iou - self.bottom) / (self.top - self.bottom) * (HEIGHT - TOP - BOTTOM)

    def points(self, curve: Sequence[float]) -> list[tuple[float, float]]:
        """Where a curve's numbers stand, (x, y) in pixels; the y of NaN is NaN."""
        return [(self.x(width), self.y(iou)) for width, iou in enumerate(curve, 1)]

    def draw(self, canvas: np.ndarray) -> None:
        put_text(canvas, "mean IoU within so many pixels of a true edge", LEFT, 24, FONT)
        for number in range(round((self.top - self.bottom) / self.step) + 1):
            iou = self.bottom + number * self.step
            y = round(self.y(iou))
            cv2.line(canvas, (LEFT, y), (WIDTH - RIGHT, y), GRID, 1)
            text = f"{iou:.3f}".rstrip("0").ljust(3, "0")
            put_text(canvas, text, LEFT - 8 - text_width(text, FONT), y + 4, FONT)
        for width in self._widths():
            x = round(self.x(width))
            cv2.line(canvas, (x, TOP), (x, HEIGHT - BOTTOM), GRID, 1)
            text = str(width)
            put_text(canvas, text, x - text_width(text, FONT) // 2, HEIGHT - BOTTOM + 18, FONT)
        put_text(canvas, "pixels", (LEFT + WIDTH - RIGHT) // 2 - 20, HEIGHT - 14, FONT, INK)

    def _widths(self) -> list[int]:
        step = max(round(_round_step(self.widest / TICKS)), 1)
        return [1, *range(step if step > 1 else 2, self.widest + 1, step)]


def _round_step(least: float) -> float:
    """The next of 1, 2, 5, 10, ... times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _line(canvas: np.ndarray, axes: Axes, curve: np.ndarray, colour: tuple[int, int, int]) -> None:
    shift = 3
    fixed = [
        None if math.isnan(y) else (round(x * 2**shift), round(y * 2**shift)) for x, y in axes.points(curve)
    ]
    for start, end in itertools.pairwise(fixed):
        if start is not None and end is not None:
            cv2.line(canvas, start, end, colour, 2, cv2.LINE_AA, shift)
    for point in fixed:
        if point is not None:
            cv2.circle(canvas, point, 2 * 2**shift, colour, -1, cv2.LINE_AA, shift)


def _entry(canvas: np.ndarray, name: str, number: int, count: int, colour: tuple[int, int, int]) -> None:
    """A line of the legend, at the lower right where a rising curve is not."""
    y = HEIGHT - BOTTOM - 14 - 20 * (count - 1 - number)
    left = WIDTH - RIGHT - 12 - text_width(name, FONT)
    cv2.line(canvas, (left - 30, y - 4), (left - 8, y - 4), colour, 2, cv2.LINE_AA)
    put_text(canvas, name, left, y, FONT)
