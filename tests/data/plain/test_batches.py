"""Epochs without TensorFlow: the same samples in the same order as with it."""

import numpy as np
import pytest

import kseg
from kseg.data.batches import SampleCache
from kseg.data.batches import sampler as sampler_of_tensorflow
from kseg.data.plain.batches import batches, sampler
from kseg.errors import DataError


def data(count=7):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 20, 18, 3), np.uint8)
    return kseg.data.from_arrays(images, random.integers(0, 3, (count, 20, 18)), classes=["a", "b", "c"])


@pytest.mark.parametrize("augment", [None, kseg.data.Augment(mirror=True, scale=(0.8, 1.2))])
@pytest.mark.parametrize("shuffle", [True, False])
def test_the_samples_of_tensorflow(augment, shuffle):
    pytest.importorskip("tensorflow")
    dataset = data()
    cache = SampleCache(dataset)
    one = sampler(cache, len(dataset), (16, 16), augment, 5, shuffle, 255)
    other = sampler_of_tensorflow(dataset, cache, (16, 16), augment, 5, shuffle)
    for position in range(20):
        (image, label), (their_image, their_label) = one(position), other(np.int64(position))
        np.testing.assert_array_equal(label, their_label)
        assert np.abs(image.astype(int) - their_image.numpy()).max() <= 1


def test_the_samples_of_tensorflow_of_other_channels():
    pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    images, masks = rng.integers(0, 4096, (5, 20, 18, 4)).astype(np.uint16), rng.integers(0, 2, (5, 20, 18, 3))
    kind = {"channels": 4, "value_range": (0, 4095), "multilabel": True}
    dataset = kseg.data.from_arrays(images, masks, **kind)
    cache = SampleCache(dataset)
    for size, augment in ((None, None), ((24, 16), None), ((16, 16), kseg.data.Augment(mirror=True, contrast=0.3))):
        one = sampler(cache, len(dataset), size, augment, 5, True, 255, (0, 4095))
        other = sampler_of_tensorflow(dataset, cache, size, augment, 5, True)
        for position in (0, 7):
            (image, label), (their_image, their_label) = one(position), other(np.int64(position))
            np.testing.assert_array_equal(label, their_label)
            assert image.dtype == their_image.numpy().dtype
            np.testing.assert_allclose(image, their_image, atol=0.05)


def test_batches_keep_the_order_and_pass_on_what_goes_wrong():
    def sample(position):
        if position == 9:
            raise DataError("broken.png")
        return np.full((2, 2, 3), position), np.full((2, 2), position)

    assert [labels[:, 0, 0].tolist() for _, labels in batches(sample, range(7), 3)] == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]
    with pytest.raises(DataError, match=r"broken\.png"):
        list(batches(sample, range(12), 3))
