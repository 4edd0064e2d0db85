import numpy as np
import pytest

from kseg.errors import DataError
from kseg.visualize.grid import BAR, GAP, grid, sheet

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


PALETTE = ((0, 0, 0), (200, 40, 40), (40, 40, 200))
CLASSES = ("background", "person", "bicycle with a long name")


def labels(height=20, width=30):
    return np.random.default_rng(0).integers(0, 3, (height, width), dtype=np.uint8)


def picture(height=20, width=30):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def has_colour(picture, colour):
    return bool((picture == np.array(colour, np.uint8)).all(-1).any())


def test_grid():
    truths = [labels(), None]
    found = grid(
        [picture(), picture(50, 10)],
        truths,
        [labels(), labels(50, 10)],
        PALETTE,
        classes=CLASSES,
        captions=["a", "b"],
    )
    assert found.dtype == np.uint8
    assert found.shape[1] == 3 * 320 + 4 * 6
    column = found[:, 2 * 326 + 6 : 3 * 326]
    assert has_colour(column, PALETTE[1])
    assert has_colour(column, PALETTE[2])
    with pytest.raises(DataError, match="as many"):
        grid([picture()], truths, [labels()], PALETTE)
