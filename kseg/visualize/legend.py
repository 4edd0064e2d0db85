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
    """A panel of colour swatches and class names.

    Args:
        classes: class names.
        palette: an RGB colour per class; None: VOC's colour map.
        shares: each class's share of the pixels, 0 to 1; those above zero are listed, the largest first, with
            percentages. None: all classes in their order.
        width: of the panel, in pixels; entries flow into as many rows as they need.
        size: of the font, in pixels.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Example:

    >>> from kseg.visualize.legend import legend
    >>> legend(["background", "cat", "dog"], shares=[0.7, 0, 0.3], width=200).shape
    (56, 200, 3)
    """
    table = colour_table(palette, np.array([max(len(classes) - 1, 0)]))
    if shares is None:
        entries = [(name, table[i]) for i, name in enumerate(classes)]
    else:
        order = [i for i in np.argsort(-np.asarray(shares), kind="stable") if shares[i] > 0]
        percent = ["< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %" for share in shares]
        entries = [(f"{classes[i]} {percent[i]}", table[i]) for i in order]
    # Columns of equal width, as many as fit.
    column = max((text_width(text, size) for text, _ in entries), default=0) + round(size * 2.8)
    columns = max((width - size) // column, 1)
    rows, line = math.ceil(len(entries) / columns), round(size * 1.7)
    panel = np.full((rows * line + size // 2 * 2, width, 3), PAPER, np.uint8)
    for number, (text, colour) in enumerate(entries):
        left, row = size // 2 + number % columns * column, number // columns
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
    """An image with the legend of the classes in it below.

    An image too narrow to read a legend under is made larger by a whole number and centred.

    Args:
        image: uint8 RGB `(height, width, 3)`, an overlay, say.
        labels: integer class ids `(height, width)`, whose shares the legend gives.
        classes: class names.
        palette: an RGB colour per class; None: VOC's colour map.
        ignore_label: the id of pixels without a class, or None.

    Returns:
        uint8 RGB `(height, width, 3)`, larger than the image.

    Example:

    >>> from kseg.visualize.legend import with_legend
    >>> image, labels = np.zeros((300, 400, 3), np.uint8), np.zeros((300, 400), int)
    >>> with_legend(image, labels, ["background", "cat"]).shape
    (334, 400, 3)
    """
    height, width = image.shape[:2]
    factor = max(min(math.ceil(NARROWEST / width), 1200 // height), 1)
    image = image.repeat(factor, axis=0).repeat(factor, axis=1)
    missing = max(NARROWEST - image.shape[1], 0)
    sides = ((0, 0), (missing // 2, missing - missing // 2), (0, 0))
    image = np.pad(image, sides, constant_values=PAPER[0])
    height, width = image.shape[:2]
    size = int(np.clip(round(min(width, 1.5 * height) / 60), 13, 60))
    panel = legend(classes, palette, class_shares(labels, len(classes), ignore_label), width, size)
    return np.concatenate([image, panel])
