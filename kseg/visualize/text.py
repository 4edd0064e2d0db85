"""Small text on images, legible: OpenCV's TrueType font where it has one (OpenCV 5), else its stroke font."""

from __future__ import annotations

import cv2
import numpy as np

INK = (32, 32, 32)
PAPER = (250, 250, 250)

_STROKE = cv2.FONT_HERSHEY_SIMPLEX
_STROKE_PIXELS = 32  # height of a line of the stroke font at scale 1


def text_width(text: str, size: int) -> int:
    """How wide a text is.

    Args:
        text: one line.
        size: of the font: the height of a line in pixels.

    Returns:
        Its width in pixels.

    Example:

    >>> from kseg.visualize.text import text_width
    >>> text_width("motorbike", 13) > text_width("bus", 13)
    True
    """
    if hasattr(cv2, "FontFace"):
        x, _, width, _ = cv2.getTextSize(None, _shown(text), (0, 0), cv2.FontFace("sans"), size, 400)
        return int(x + width)
    return int(cv2.getTextSize(_plain(text), _STROKE, size / _STROKE_PIXELS, 1)[0][0])


def put_text(
    canvas: np.ndarray, text: str, left: int, baseline: int, size: int, colour: tuple[int, int, int] = INK
) -> None:
    """Write a line of text into an image, in place.

    Args:
        canvas: uint8 RGB `(height, width, 3)`.
        text: one line; what does not fit is cut off at the edges of the image.
        left, baseline: where the text begins, in pixels from the upper left corner.
        size: of the font: the height of a line in pixels.
        colour: RGB, 0-255.

    Example:

    >>> from kseg.visualize.text import put_text
    >>> canvas = np.full((20, 80, 3), 250, np.uint8)
    >>> put_text(canvas, "bus", 4, 14, 13)
    >>> bool((canvas < 128).any())
    True
    """
    if hasattr(cv2, "FontFace"):
        cv2.putText(canvas, _shown(text), (left, baseline), colour, cv2.FontFace("sans"), size, 400)
    else:
        scale = size / _STROKE_PIXELS
        cv2.putText(canvas, _plain(text), (left, baseline), _STROKE, scale, colour, 1, cv2.LINE_AA)


def fitted(text: str, size: int, width: int) -> str:
    """A text that is no wider than asked, cut with an ellipsis where it would be.

    Args:
        text: one line.
        size: of the font: the height of a line in pixels.
        width: the most it may take, in pixels.

    Returns:
        The text or its beginning; empty where not even one letter fits.

    Example:

    >>> from kseg.visualize.text import fitted, text_width
    >>> text_width(fitted("a name that takes more room than there is", 13, 100), 13) <= 100
    True
    """
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text + "..." if text else ""


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()  # file names that are not UTF-8


def _plain(text: str) -> str:
    return text.encode("ascii", "replace").decode()  # all that the stroke font has
