"""Drawing: the colours are the palette's, the blend is the formula's, every size gives a picture."""

import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.inference import draw

PALETTE = ((0, 0, 0), (200, 40, 40), (40, 40, 200))
CLASSES = ("background", "person", "bicycle with a long name")


def labels(height=20, width=30):
    return np.random.default_rng(0).integers(0, 3, (height, width), dtype=np.uint8)


def picture(height=20, width=30):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_colourise():
    ids = np.array([[0, 1], [2, 255]], np.uint8)
    expected = [[PALETTE[0], PALETTE[1]], [PALETTE[2], (224, 224, 192)]]
    np.testing.assert_array_equal(draw.colourise(ids, PALETTE), expected)
    np.testing.assert_array_equal(draw.colourise(ids.astype(np.int64), PALETTE), expected)


def test_colourise_many_classes():
    ids = np.arange(600, dtype=np.uint16).reshape(20, 30)
    palette = [(i % 256, i // 256, 7) for i in range(600)]
    found = draw.colourise(ids, palette, ignore_label=None)
    np.testing.assert_array_equal(found.reshape(-1, 3), palette)


@pytest.mark.parametrize(
    "bad",
    [np.full((2, 2), 3, np.uint8), np.full((2, 2), -1), np.zeros((2, 2)), np.zeros((2, 2, 1), np.uint8)],
)
def test_colourise_refuses(bad):
    with pytest.raises(DataError):
        draw.colourise(bad, PALETTE)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_overlay_blends_and_leaves_black_and_ignored_bare(alpha):
    image, ids = picture(), labels()
    ids[0] = 255
    found = draw.overlay(image, ids, PALETTE, alpha)
    bare = (ids == 0) | (ids == 255)
    np.testing.assert_array_equal(found[bare], image[bare])
    expected = image * (1 - alpha) + np.array(PALETTE)[np.where(bare, 0, ids)] * alpha
    np.testing.assert_allclose(found[~bare], expected[~bare], atol=0.51)


def test_overlay_refuses():
    with pytest.raises(DataError, match="size"):
        draw.overlay(picture(), labels()[:-1], PALETTE)
    with pytest.raises(SettingsError, match="alpha"):
        draw.overlay(picture(), labels(), PALETTE, alpha=1.5)


def test_class_shares():
    ids = np.array([[0, 1, 1, 255]], np.uint8)
    np.testing.assert_allclose(draw.class_shares(ids, 3), [1 / 3, 2 / 3, 0])
    np.testing.assert_array_equal(draw.class_shares(np.full((2, 2), 255, np.uint8), 3), [0, 0, 0])


def has_colour(picture, colour):
    return bool((picture == np.array(colour, np.uint8)).all(-1).any())


@pytest.mark.parametrize("width", [60, 240, 700])
def test_legend_shows_present_classes_only(width):
    panel = draw.legend(CLASSES, PALETTE, shares=[0.25, 0, 0.75], width=width)
    assert panel.shape[1:] == (width, 3)
    assert has_colour(panel, PALETTE[2])
    assert not has_colour(panel, PALETTE[1])
    assert has_colour(draw.legend(CLASSES, PALETTE, width=width), PALETTE[1])


@pytest.mark.parametrize("size", [(1, 1), (20, 30), (900, 2), (3, 700), (1000, 1600)])
def test_with_legend_keeps_the_picture(size):
    image = picture(*size)
    found = draw.with_legend(image, np.full(size, 1, np.uint8), CLASSES, PALETTE)
    assert found.shape[1] >= 240
    assert found.dtype == np.uint8
    assert has_colour(found[-60:], PALETTE[1])
    if size[1] >= 240:
        np.testing.assert_array_equal(found[: size[0]], image)


def test_grid():
    truths = [labels(), None]
    sheet = draw.grid(
        [picture(), picture(50, 10)],
        truths,
        [labels(), labels(50, 10)],
        PALETTE,
        classes=CLASSES,
        captions=["a", "b"],
    )
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 3 * 320 + 4 * 6
    column = sheet[:, 2 * 326 + 6 : 3 * 326]
    assert has_colour(column, PALETTE[1])
    assert has_colour(column, PALETTE[2])
    with pytest.raises(DataError, match="as many"):
        draw.grid([picture()], truths, [labels()], PALETTE)
