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

GAP, TEXT, CAPTION = 6, 15, 13
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
    """A sheet with one row an image: the image, its truth and its prediction.

    Args:
        images: uint8 RGB `(height, width, 3)` arrays of any sizes.
        truths, predictions: class ids `(height, width)` for each image; a truth may be None.
        palette: an RGB colour per class; None: VOC's colour map.
        classes: class names; with them a legend stands below.
        captions: a line of text above each row (its name and score, say).
        header: the columns' titles.
        cell: width of a column in pixels.
        ignore_label: the id of pixels without a class, or None.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Raises:
        DataError: no images, or another number of truths or predictions.

    Example:

    >>> from kseg.visualize.grid import grid
    >>> image, labels = np.zeros((30, 40, 3), np.uint8), np.zeros((30, 40), int)
    >>> grid([image], [labels], [labels], classes=["background", "cat"], cell=80).shape
    (127, 264, 3)
    """
    counts = len(images), len(truths), len(predictions)
    if len(set(counts)) > 1 or not counts[0]:
        raise DataError(f"A grid needs as many truths and predictions as images; got {counts}")
    width = 3 * cell + 4 * GAP
    bars = [_bar([fitted(title, TEXT, cell) for title in header], cell, width, TEXT)]
    for i, (image, truth, prediction) in enumerate(zip(images, truths, predictions, strict=True)):
        if captions:
            bars.append(_bar([fitted(captions[i], CAPTION, width - 2 * GAP)], cell, width, CAPTION))
        row = [_scaled(image, min(cell / image.shape[1], 2 * cell / image.shape[0]))]
        high, wide = row[0].shape[:2]
        for labels in (truth, prediction):
            if labels is None:
                row.append(None)
            else:
                painted = colourise(labels, palette, ignore_label)
                row.append(cv2.resize(painted, (wide, high), interpolation=cv2.INTER_NEAREST))
        bar = np.full((high + GAP, width, 3), PAPER, np.uint8)
        for column, shown in enumerate(row):
            if shown is not None:
                left = GAP + column * (cell + GAP) + (cell - wide) // 2
                bar[:high, left : left + wide] = shown
        bars.append(bar)
    if classes:
        bars.append(legend(classes, palette, width=width))
    return np.concatenate(bars)


def _bar(texts: Sequence[str], cell: int, width: int, size: int) -> np.ndarray:
    bar = np.full((round(size * 1.8), width, 3), PAPER, np.uint8)
    for i, text in enumerate(texts):
        put_text(bar, text, GAP + i * (cell + GAP), round(size * 1.25), size)
    return bar


def sheet(
    images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4, cell: int = 240
) -> np.ndarray:
    """Images in rows, each below its caption.

    Args:
        images: uint8 RGB `(height, width, 3)`, shown as large as fits into `cell` pixels squared; a few pixels
            shown large stay squares.
        captions: a line of text for each.
        columns: the most images side by side.
        cell: pixels an image may take.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Raises:
        DataError: no images, or another number of captions.

    Example:

    >>> from kseg.visualize.grid import sheet
    >>> sheet([np.zeros((30, 40, 3), np.uint8)] * 3, ["one", "two", "three"], columns=2, cell=80).shape
    (186, 178, 3)
    """
    if not len(images) or len(images) != len(captions):
        raise DataError(f"A sheet needs a caption for each image; got {len(captions)} for {len(images)}")
    columns = min(columns, len(images))
    shown = [_scaled(image, cell / max(image.shape[:2])) for image in images]
    high = max(image.shape[0] for image in shown)
    rows = math.ceil(len(shown) / columns)
    result = np.full((rows * (BAR + high + GAP), GAP + columns * (cell + GAP), 3), PAPER, np.uint8)
    for number, (image, caption) in enumerate(zip(shown, captions, strict=True)):
        top = number // columns * (BAR + high + GAP)
        left = GAP + number % columns * (cell + GAP)
        put_text(result, fitted(caption, TEXT, cell), left, top + round(TEXT * 1.25), TEXT)
        result[top + BAR : top + BAR + image.shape[0], left : left + image.shape[1]] = image
    return result


def _scaled(image: np.ndarray, scale: float) -> np.ndarray:
    """An image larger or smaller, as a photograph is best resized; a few pixels shown large stay squares."""
    height, width = image.shape[:2]
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if scale > 2 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=method)
