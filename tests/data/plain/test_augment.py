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
