"""The swatches are the palette's colours, the image above them is untouched."""

import numpy as np
import pytest

from kseg.visualize.legend import legend, with_legend

PALETTE = ((0, 0, 0), (200, 40, 40), (40, 40, 200))
CLASSES = ("background", "person", "bicycle with a long name")


def picture(height=20, width=30):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def has_colour(picture, colour):
    return bool((picture == np.array(colour, np.uint8)).all(-1).any())


@pytest.mark.parametrize("width", [60, 240, 700])
def test_legend_shows_present_classes_only(width):
    panel = legend(CLASSES, PALETTE, shares=[0.25, 0, 0.75], width=width)
    assert panel.shape[1:] == (width, 3)
    assert has_colour(panel, PALETTE[2])
    assert not has_colour(panel, PALETTE[1])
    assert has_colour(legend(CLASSES, PALETTE, width=width), PALETTE[1])


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (900, 2), (3, 700), (1000, 1600)])
def test_with_legend_keeps_the_picture(size):
    image = picture(*size)
    found = with_legend(image, np.full(size, 1, np.uint8), CLASSES, PALETTE)
    assert found.shape[1] >= 240
    assert found.dtype == np.uint8
    assert has_colour(found[-60:], PALETTE[1])
    if size[1] >= 240:
        np.testing.assert_array_equal(found[: size[0]], image)
