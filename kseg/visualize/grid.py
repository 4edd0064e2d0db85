"""Several images in one: rows of image, truth and prediction, and sheets with a caption above each image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from kseg.errors import DataError
from kseg.visualize.legend import legend
from kseg.visualize.overlay import colourise
from kseg.visualize.palette import Palette
from kseg.visualize.text import PAPER, fitted, put_text

GAP, TEXT = 6, 15
BAR = round(TEXT * 1.8)


def grid(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray | None],
    predictions: Sequence[np.ndarray],
    palette: Palette | None = None,
    *,
    classes: Sequence[str] = (),
    captions: Sequence[str] = (),
    header: Sequence[str] = ("image", "truth", "prediction"),
    cell: int = 320,
    ignore_label: int | None = 255,
) -> np.ndarray:
    """A sheet with one row an image: image, truth, prediction; uint8 (height, width, 3).

    Args:
        images: uint8 (H, W, 3) arrays of any sizes.
        truths, predictions: class ids (H, W) for each image; a truth may be None.
        palette: an RGB colour per class; None: VOC's colour map.
        classes: class names; with them a legend stands below.
        captions: a line of text above each row (its name and score, say).
        header: the columns' titles.
        cell: width of a column in pixels.
        ignore_label: the id of pixels without a class, or None.
    """
    counts = len(images), len(truths), len(predictions)
    if len(set(counts)) > 1 or not counts[0]:
        raise DataError(f"A grid needs as many truths and predictions as images; got {counts}")
    gap, width = 6, 3 * cell + 4 * 6
    bars = [_bar([fitted(title, 15, cell) for title in header], cell, gap, width, size=15)]
    for i, (image, truth, prediction) in enumerate(zip(images, truths, predictions, strict=True)):
        if captions:
            bars.append(_bar([fitted(captions[i], 13, width - 2 * gap)], cell, gap, width, size=13))
        maps = [None if x is None else colourise(x, palette, ignore_label) for x in (truth, prediction)]
        bars.append(_row([image, *maps], cell, gap, width))
    if classes:
        bars.append(legend(classes, palette, width=width))
    return np.concatenate(bars)


def _row(images: Sequence[np.ndarray | None], cell: int, gap: int, width: int) -> np.ndarray:
    """Images of one size side by side, as wide as a cell, none taller than twice its width."""
    height, wide = images[0].shape[:2]
    scale = min(cell / wide, 2 * cell / height)
    shown = (max(round(wide * scale), 1), max(round(height * scale), 1))
    row = np.empty((shown[1] + gap, width, 3), np.uint8)
    row[:] = PAPER
    for i, image in enumerate(images):
        if image is None:
            continue
        method = _resampling(scale) if i == 0 else cv2.INTER_NEAREST
        left = gap + i * (cell + gap) + (cell - shown[0]) // 2
        row[: shown[1], left : left + shown[0]] = cv2.resize(image, shown, interpolation=method)
    return row


def _resampling(scale: float) -> int:
    """How a photograph is best resized: a few pixels shown large stay pixels."""
    if scale > 2:
        return cv2.INTER_NEAREST
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


def _bar(texts: Sequence[str], cell: int, gap: int, width: int, size: int) -> np.ndarray:
    bar = np.empty((round(size * 1.8), width, 3), np.uint8)
    bar[:] = PAPER
    for i, text in enumerate(texts):
        put_text(bar, text, gap + i * (cell + gap), round(size * 1.25), size)
    return bar


def sheet(
    images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4, cell: int = 240
) -> np.ndarray:
    """Images in rows, uint8 (height, width, 3).

    Args:
        images: uint8 (H, W, 3) RGB, shown as large as fits into ``cell`` pixels squared; few pixels stay squares.
        captions: a line of text for each.
        columns: the most images side by side.
        cell: pixels an image may take.

    Raises:
        DataError: no images, or another number of captions.
    """
    if not len(images) or len(images) != len(captions):
        raise DataError(f"A sheet needs a caption for each image; got {len(captions)} for {len(images)}")
    columns = min(columns, len(images))
    shown = [_shown(image, cell) for image in images]
    high = max(image.shape[0] for image in shown)
    rows = math.ceil(len(shown) / columns)
    result = np.empty((rows * (BAR + high + GAP), GAP + columns * (cell + GAP), 3), np.uint8)
    result[:] = PAPER
    for number, (image, caption) in enumerate(zip(shown, captions, strict=True)):
        top = number // columns * (BAR + high + GAP)
        left = GAP + number % columns * (cell + GAP)
        put_text(result, fitted(caption, TEXT, cell), left, top + round(TEXT * 1.25), TEXT)
        result[top + BAR : top + BAR + image.shape[0], left : left + image.shape[1]] = image
    return result


def _shown(image: np.ndarray, cell: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = cell / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if scale > 2 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=method)
