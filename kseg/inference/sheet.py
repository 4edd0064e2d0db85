"""A sheet of pictures with a line of text above each."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from kseg.errors import DataError
from kseg.inference.text import PAPER, fitted, put_text

GAP, TEXT = 6, 15
BAR = round(TEXT * 1.8)


def sheet(
    pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int = 4, cell: int = 240
) -> np.ndarray:
    """Pictures in rows, uint8 (height, width, 3).

    Args:
        pictures: uint8 (H, W, 3) RGB, shown as large as fits into ``cell`` pixels squared; few pixels stay squares.
        captions: a line of text for each.
        columns: the most pictures side by side.
        cell: pixels a picture may take.

    Raises:
        DataError: no pictures, or another number of captions.
    """
    if not len(pictures) or len(pictures) != len(captions):
        raise DataError(f"A sheet needs a caption for each picture; got {len(captions)} for {len(pictures)}")
    columns = min(columns, len(pictures))
    shown = [_shown(picture, cell) for picture in pictures]
    high = max(picture.shape[0] for picture in shown)
    rows = math.ceil(len(shown) / columns)
    result = np.empty((rows * (BAR + high + GAP), GAP + columns * (cell + GAP), 3), np.uint8)
    result[:] = PAPER
    for number, (picture, caption) in enumerate(zip(shown, captions, strict=True)):
        top = number // columns * (BAR + high + GAP)
        left = GAP + number % columns * (cell + GAP)
        put_text(result, fitted(caption, TEXT, cell), left, top + round(TEXT * 1.25), TEXT)
        result[top + BAR : top + BAR + picture.shape[0], left : left + picture.shape[1]] = picture
    return result


def _shown(picture: np.ndarray, cell: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = cell / max(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST if scale > 2 else cv2.INTER_LINEAR
    return cv2.resize(picture, size, interpolation=method)
