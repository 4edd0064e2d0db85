"""The colours are the palette's, the blend is the formula's."""

import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.visualize.overlay import class_shares, colourise, overlay

PALETTE = ((0, 0, 0), (200, 40, 40), (40, 40, 200))


def labels(height=20, width=30):
    return np.random.default_rng(0).integers(0, 3, (height, width), dtype=np.uint8)


def picture(height=20, width=30):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_colourise():
    ids = np.array([[0, 1], [2, 255]], np.uint8)
    expected = [[PALETTE[0], PALETTE[1]], [PALETTE[2], (224, 224, 192)]]
    np.testing.assert_array_equal(colourise(ids, PALETTE), expected)
    np.testing.assert_array_equal(colourise(ids.astype(np.int64), PALETTE), expected)


def test_colourise_many_classes():
    ids = np.arange(600, dtype=np.uint16).reshape(20, 30)
    palette = [(i % 256, i // 256, 7) for i in range(600)]
    found = colourise(ids, palette, ignore_label=None)
    np.testing.assert_array_equal(found.reshape(-1, 3), palette)


@pytest.mark.parametrize(
    "bad",
    [np.full((2, 2), 3, np.uint8), np.full((2, 2), -1), np.zeros((2, 2)), np.zeros((2, 2, 1), np.uint8)],
)
def test_colourise_refuses(bad):
    with pytest.raises(DataError):
        colourise(bad, PALETTE)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_overlay_blends_and_leaves_black_and_ignored_bare(alpha):
    image, ids = picture(), labels()
    ids[0] = 255
    found = overlay(image, ids, PALETTE, alpha)
    bare = (ids == 0) | (ids == 255)
    np.testing.assert_array_equal(found[bare], image[bare])
    expected = image * (1 - alpha) + np.array(PALETTE)[np.where(bare, 0, ids)] * alpha
    np.testing.assert_allclose(found[~bare], expected[~bare], atol=0.51)


def test_overlay_refuses():
    with pytest.raises(DataError, match="size"):
        overlay(picture(), labels()[:-1], PALETTE)
    with pytest.raises(SettingsError, match="alpha"):
        overlay(picture(), labels(), PALETTE, alpha=1.5)


def test_class_shares():
    ids = np.array([[0, 1, 1, 255]], np.uint8)
    np.testing.assert_allclose(class_shares(ids, 3), [1 / 3, 2 / 3, 0])
    np.testing.assert_array_equal(class_shares(np.full((2, 2), 255, np.uint8), 3), [0, 0, 0])
