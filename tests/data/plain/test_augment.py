"""NumPy's augmentation against TensorFlow's: masks equal, colours to a grey level."""

import numpy as np
import pytest

from kseg.data.augment import Augment
from kseg.data.augment import centre as centre_of_tensorflow
from kseg.data.plain.augment import augmented, centre

SETTINGS = [
    Augment(),
    Augment(scale=(0.5, 2.0), mirror=True, rotate=20, jitter=5),
    Augment(mirror=True, brightness=0.3, contrast=0.4, saturation=0.5, hue=0.1),
    Augment(scale=(0.7, 0.8), blur=1.5, brightness=0.1),
]


def sample(height, width):
    random = np.random.default_rng(height)
    return random.integers(0, 256, (height, width, 3), np.uint8), random.integers(
        0, 5, (height, width), np.uint8
    )


@pytest.mark.parametrize("settings", SETTINGS, ids=["none", "geometry", "colour", "blur"])
@pytest.mark.parametrize("size", [(24, 40), None])
def test_like_tensorflow(settings, size):
    pytest.importorskip("tensorflow")
    image, label = sample(33, 31)
    for seed in ((0, 1), (2**40, 7), (-3, 9)):
        ours = augmented(settings, image, label, size, seed, 254)
        theirs = [part.numpy() for part in settings(image, label, size, np.int64(seed), 254)]
        np.testing.assert_array_equal(ours[1], theirs[1])
        assert ours[0].dtype == theirs[0].dtype
        assert ours[0].shape == theirs[0].shape
        assert np.abs(ours[0].astype(int) - theirs[0]).max() <= 1
        assert (ours[0] == theirs[0]).mean() > 0.99


@pytest.mark.parametrize("size", [(24, 40), (50, 20), (33, 31), (34, 30)])
def test_centre(size):
    pytest.importorskip("tensorflow")
    image, label = sample(33, 31)
    for ours, theirs in zip(
        centre(image, label, size, 255), centre_of_tensorflow(image, label, size, 255), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


OTHERS = [
    Augment(mirror=True, scale=(0.5, 2.0), rotate=20, brightness=0.3, contrast=0.4),
    Augment(jitter=4, blur=1.2, contrast=0.2),
]


@pytest.mark.parametrize("settings", OTHERS, ids=["geometry", "blur"])
@pytest.mark.parametrize(("channels", "values"), [(6, (0, 65535)), (1, (0, 255)), (3, (-1, 1)), (2, (100, 400))])
def test_other_channels_and_overlapping_classes_like_tensorflow(settings, channels, values):
    pytest.importorskip("tensorflow")
    rng = np.random.default_rng(channels)
    image = rng.uniform(*values, (33, 31, channels)).astype(np.uint8 if values == (0, 255) else np.float32)
    label = rng.integers(0, 2, (33, 31, 3), np.uint8)
    for size in ((24, 40), None):
        ours = augmented(settings, image, label, size, (5, 7), 255, values)
        theirs = [part.numpy() for part in settings(image, label, size, np.int64((5, 7)), 255, values)]
        np.testing.assert_array_equal(ours[1], theirs[1])
        assert (ours[0].dtype, ours[0].shape) == (theirs[0].dtype, theirs[0].shape)
        allowed = 1 if values == (0, 255) else 1e-5 * (values[1] - values[0])
        np.testing.assert_allclose(ours[0].astype(np.float64), theirs[0], rtol=0, atol=allowed)
    if channels != 1:
        ours, theirs = (cut(image, label, (40, 20), 255, values) for cut in (centre, centre_of_tensorflow))
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(one, other)
