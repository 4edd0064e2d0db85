"""Text lands where it was asked for, in the room it said it takes, with and without OpenCV's TrueType
font."""

import cv2
import numpy as np
import pytest

from kseg.visualize.text import fitted, put_text, text_width


@pytest.fixture(params=["truetype", "strokes"])
def _font(request, monkeypatch):
    if request.param == "strokes":
        monkeypatch.delattr(cv2, "FontFace", raising=False)
    elif not hasattr(cv2, "FontFace"):
        pytest.skip("OpenCV 5 brings the font")


@pytest.mark.usefixtures("_font")
@pytest.mark.parametrize("size", [11, 15, 30])
def test_text_stays_in_its_box(size):
    canvas = np.full((60, 300, 3), 255, np.uint8)
    put_text(canvas, "bicyclist", 10, 45, size)
    rows, columns = np.nonzero((canvas < 200).any(-1))
    assert rows.min() >= 45 - size
    assert rows.max() <= 45 + 0.4 * size
    assert columns.min() >= 9
    assert columns.max() <= 10 + text_width("bicyclist", size) + 2
    assert columns.max() - columns.min() > 0.5 * text_width("bicyclist", size)


@pytest.mark.usefixtures("_font")
def test_fitted():
    assert fitted("road", 13, 200) == "road"
    short = fitted("a very long name of a class", 13, 80)
    assert short.endswith("...")
    assert text_width(short, 13) <= 80
    assert fitted("road", 13, 1) == ""
