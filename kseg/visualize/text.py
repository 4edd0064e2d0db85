"""Small text on images, legible: OpenCV's TrueType font where it has one (OpenCV 5), else its stroke
font."""

from __future__ import annotations

import cv2
import numpy as np

INK = (32, 32, 32)
PAPER = (250, 250, 250)

_STROKE = cv2.FONT_HERSHEY_SIMPLEX
_STROKE_PIXELS = 32  # height of a line of the stroke font at scale 1


def text_width(text: str, size: int) -> int:
    """Pixels that ``text`` takes on a line of font ``size`` (height of a line in pixels)."""
    if hasattr(cv2, "FontFace"):
        x, _, width, _ = cv2.getTextSize(None, _shown(text), (0, 0), cv2.FontFace("sans"), size, 400)
        return int(x + width)
    return int(cv2.getTextSize(_plain(text), _STROKE, size / _STROKE_PIXELS, 1)[0][0])


def put_text(
    canvas: np.ndarray, text: str, left: int, baseline: int, size: int, colour: tuple[int, int, int] = INK
) -> None:
    """Write ``text`` into ``canvas``, uint8 RGB, in place."""
    if hasattr(cv2, "FontFace"):
        cv2.putText(canvas, _shown(text), (left, baseline), colour, cv2.FontFace("sans"), size, 400)
    else:
        scale = size / _STROKE_PIXELS
        cv2.putText(canvas, _plain(text), (left, baseline), _STROKE, scale, colour, 1, cv2.LINE_AA)


def fitted(text: str, size: int, width: int) -> str:
    """``text``, cut with an ellipsis where it is wider than ``width`` pixels."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "...", size) > width:
        text = text[:-1]
    return text + "..." if text else ""


def _shown(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()  # file names that are not UTF-8


def _plain(text: str) -> str:
    return text.encode("ascii", "replace").decode()  # all that the stroke font has
