"""Legends: colour swatches with class names, alone or below an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from kseg.visualize.overlay import class_shares
from kseg.visualize.palette import Palette, colour_table
from kseg.visualize.text import PAPER, fitted, put_text, text_width

NARROWEST = 240  # a legend needs some room, however small the image
FRAME = (150, 150, 150)


def legend(
    classes: Sequence[str],
    palette: Palette | None = None,
    shares: Sequence[float] | None = None,
    width: int = 480,
    size: int = 13,
) -> np.ndarray:
    """A panel of colour swatches and class names, uint8 (height, width, 3).

    Args:
        classes: class names.
        palette: an RGB colour per class; None: VOC's colour map.
        shares: each class's share of the pixels; those above zero are listed, the largest first, with
            percentages.
            None: all classes in their order.
        width: of the panel, in pixels; entries flow into as many rows as they need.
        size: of the font, in pixels.
    """
    table = colour_table(palette, np.array([max(len(classes) - 1, 0)]))
    if shares is None:
        entries = [(name, table[i]) for i, name in enumerate(classes)]
    else:
        order = [i for i in np.argsort(-np.asarray(shares), kind="stable") if shares[i] > 0]
        entries = [(f"{classes[i]} {_percent(shares[i])}", table[i]) for i in order]
    places, rows = _flow([text_width(text, size) for text, _ in entries], width, size)
    line = round(size * 1.7)
    panel = np.empty((rows * line + size // 2 * 2, width, 3), np.uint8)
    panel[:] = PAPER
    for (text, colour), (left, row) in zip(entries, places, strict=True):
        baseline = size // 2 + row * line + round(line * 0.5 + size * 0.36)
        top = baseline - round(size * 0.8)
        cv2.rectangle(panel, (left, top), (left + size, top + size), tuple(int(v) for v in colour), -1)
        cv2.rectangle(panel, (left, top), (left + size, top + size), FRAME, 1)
        text_left = left + round(size * 1.5)
        put_text(panel, fitted(text, size, width - text_left - 2), text_left, baseline, size)
    return panel


def with_legend(
    image: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    palette: Palette | None = None,
    ignore_label: int | None = 255,
) -> np.ndarray:
    """An image (an overlay, say) with the legend of the classes in ``labels`` below it, uint8 (H', W', 3).

    Images too narrow to read a legend under are made larger by a whole number and centred.
    """
    image = _at_least(image, NARROWEST)
    height, width = image.shape[:2]
    size = int(np.clip(round(min(width, 1.5 * height) / 60), 13, 60))
    panel = legend(classes, palette, class_shares(labels, len(classes), ignore_label), width, size)
    return np.concatenate([image, panel])


def _flow(widths: Sequence[int], width: int, size: int) -> tuple[list[tuple[int, int]], int]:
    """(left, row) of each entry, and the number of rows: columns of equal width, as many as fit."""
    entry = max(widths, default=0) + round(size * 2.8)
    columns = max((width - size) // entry, 1)
    places = [(size // 2 + (i % columns) * entry, i // columns) for i in range(len(widths))]
    return places, math.ceil(len(widths) / columns)


def _percent(share: float) -> str:
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _at_least(image: np.ndarray, width: int) -> np.ndarray:
    """The image made larger by a whole number to ``width`` or more, and centred where it is still narrower."""
    height, wide = image.shape[:2]
    factor = max(min(math.ceil(width / wide), 1200 // height), 1)
    image = image.repeat(factor, axis=0).repeat(factor, axis=1)
    missing = max(width - image.shape[1], 0)
    if not missing:
        return image
    sides = ((0, 0), (missing // 2, missing - missing // 2), (0, 0))
    return np.pad(image, sides, constant_values=PAPER[0])
