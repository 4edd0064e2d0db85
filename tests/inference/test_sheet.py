import numpy as np
import pytest

from kseg.errors import DataError
from kseg.inference.sheet import BAR, GAP, sheet

RED, BLUE = np.full((40, 20, 3), (255, 0, 0), np.uint8), np.full((10, 40, 3), (0, 0, 255), np.uint8)


def test_pictures_stand_in_rows_below_their_captions():
    found = sheet([RED, BLUE, RED], ["a", "b", "c"], columns=2, cell=40)
    assert found.shape == (2 * (BAR + 40 + GAP), GAP + 2 * (40 + GAP), 3)
    second = GAP + 40 + GAP
    np.testing.assert_array_equal(found[BAR : BAR + 40, GAP : GAP + 20], RED)
    np.testing.assert_array_equal(found[BAR : BAR + 10, second : second + 40], BLUE)
    np.testing.assert_array_equal(found[2 * BAR + 40 + GAP :][:40, GAP : GAP + 20], RED)
    assert found[:BAR, GAP : GAP + 40].min() < 150  # the caption's ink
    assert found[BAR + 40 + GAP : BAR + 40 + GAP + BAR, second:].min() > 200  # no fourth picture


def test_few_pixels_stay_squares():
    tiny = np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8)
    found = sheet([tiny], ["x"], cell=40)[BAR:, GAP:]
    np.testing.assert_array_equal(found[:20, :20], 0)
    np.testing.assert_array_equal(found[:20, 20:40], 255)


def test_a_caption_for_each():
    with pytest.raises(DataError, match="1 for 2"):
        sheet([RED, BLUE], ["a"])
    with pytest.raises(DataError, match="0 for 0"):
        sheet([], [])
