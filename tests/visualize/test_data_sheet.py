import numpy as np

from kseg.visualize.data_sheet import _visible as visible
from kseg.visualize.data_sheet import data_sheet

PALETTE = [(0, 0, 0), (200, 0, 0), (0, 200, 0)]


def test_rgb_stays_and_other_channels_are_stretched():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    np.testing.assert_array_equal(visible(rgb), rgb)
    np.testing.assert_array_equal(visible(rgb[..., :1]), np.repeat(rgb[..., :1], 3, -1))
    bands = rng.integers(900, 1100, (50, 60, 6)).astype(np.uint16)
    shown = visible(bands)
    assert (shown.shape, shown.dtype) == ((50, 60, 3), np.uint8)
    for channel in range(3):
        order = np.argsort(bands[..., channel].ravel(), kind="stable")
        assert (np.diff(shown[..., channel].ravel()[order].astype(int)) >= 0).all()
        assert 0.01 < (shown[..., channel] == 0).mean() < 0.04
        assert 0.01 < (shown[..., channel] == 255).mean() < 0.04
    assert (visible(np.full((4, 5, 2), 0.25)) == 0).all()  # one value only


def test_masks_lie_over_the_images():
    image = np.full((20, 20, 3), 100, np.uint8)
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:] = 1
    bare = data_sheet([image], [mask * 0], ["a"], "xyz", PALETTE, cell=20)
    painted = data_sheet([image], [mask], ["a"], "xyz", PALETTE, cell=20)
    changed = (bare != painted).any(-1)
    assert changed.sum() == 200
    assert (painted[changed] == (150, 50, 50)).all()


def test_masks_of_classes_that_overlap():
    image, masks = np.full((20, 20, 3), 100, np.uint8), np.zeros((20, 20, 3), np.uint8)
    bare = data_sheet([image], [masks], ["a"], "xyz", PALETTE, cell=20)
    masks[:10, :, 1], masks[:, :5, 2] = 1, 1
    masks[19] = 255
    found = data_sheet([image], [masks], ["a"], "xyz", PALETTE, cell=20)
    colours = {tuple(map(int, pixel)) for pixel in found[(bare != found).any(-1)]}
    assert colours == {(150, 50, 50), (50, 150, 50), (75, 125, 25)}
