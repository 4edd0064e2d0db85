import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.export.images import as_batches, calibration_images, labelled_data, random_images, resized


class Numbered:
    """A data set whose picture i is filled with i."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def load(self, index):
        return np.full((6, 8, 3), index, np.uint8), np.zeros((6, 8), np.uint8)


def test_calibration_draws_without_repetition_and_repeats_itself():
    one, same, other = (calibration_images(Numbered(50), (3, 4), count=9, seed=s) for s in (1, 1, 2))
    numbers = [int(image[0, 0, 0]) for image in one]
    assert len(set(numbers)) == 9
    assert numbers == [int(image[0, 0, 0]) for image in same]
    assert numbers != [int(image[0, 0, 0]) for image in other]
    assert {image.shape for image in one} == {(3, 4, 3)}
    assert len(calibration_images(Numbered(2), (3, 4), count=9)) == 2
    with pytest.raises(SettingsError, match="at least 1"):
        calibration_images(Numbered(5), (3, 4), count=0)
    with pytest.raises(DataError, match="none"):
        calibration_images(Numbered(0), (3, 4))


def test_shrinking_averages():
    image = np.array([[0, 100], [200, 100]], np.uint8)[..., None].repeat(3, -1)
    np.testing.assert_array_equal(resized(image, (1, 1)), np.full((1, 1, 3), 100))
    assert resized(image, (2, 2)) is image
    assert resized(image, (5, 7)).shape == (5, 7, 3)


def test_batches_of_a_data_set_are_evenly_spaced():
    batches = as_batches(Numbered(11), None, 3, 3)
    assert [int(batch[0, 0, 0, 0]) for batch in batches] == [0, 5, 10]
    assert {(batch.shape, batch.dtype.name) for batch in batches} == {((1, 6, 8, 3), "float32")}


RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)
Y = RNG.integers(0, 3, (5, 6, 8), dtype=np.uint8)


def forms():
    """The same labelled images as Keras takes them, in TensorFlow's form too."""
    import tensorflow as tf

    stream = tf.data.Dataset.from_tensor_slices((X, Y))
    return [(X, Y), (list(X), list(Y)), [(X[:2], Y[:2]), (X[2:], Y[2:])], stream, stream.batch(2)]


def test_labelled_data_in_every_form_gives_its_images():
    for data in forms():
        found = labelled_data(data, 3)
        np.testing.assert_array_equal(np.stack([labels for _, labels in found]), Y)
        np.testing.assert_array_equal(np.concatenate(as_batches(data, None, 3)), X)
        np.testing.assert_array_equal(np.stack(calibration_images(data, (6, 8))), X)


def test_images_without_labels_in_every_form():
    import tensorflow as tf

    stream = tf.data.Dataset.from_tensor_slices(X)
    for data in (X, list(X), tuple(X), (X[0], X[1]), iter(X), [X[:2], X[2:]], stream, stream.batch(2)):
        assert labelled_data(data, 3) is None
        found = np.concatenate(as_batches(data, None, 3))
        np.testing.assert_array_equal(found, X[: len(found)])
    assert len(as_batches(stream.repeat(), None, 3, 7)) == 7
    with pytest.raises(DataError, match="without an end"):
        as_batches(stream.repeat(), None, 3)


def test_batches_of_pictures():
    pictures = [np.zeros((4, 5, 3), np.uint8), np.full((1, 6, 6, 3), 9.0)]
    assert [batch.shape for batch in as_batches(pictures, (8, 9), 3)] == [(1, 8, 9, 3)] * 2
    assert len(as_batches(iter(pictures), None, 3, 1)) == 1
    for dtype in ("int64", "float16", "float64"):  # OpenCV resizes none of the first two
        (batch,) = as_batches([np.full((4, 5, 3), 7, dtype)], (3, 2), 3)
        np.testing.assert_array_equal(batch, np.full((1, 3, 2, 3), 7))
    for wrong in (np.zeros((4, 5)), np.zeros((4, 5, 4)), np.zeros((2, 4, 5, 4)), np.array([["a"]])):
        with pytest.raises(DataError, match="height, width, 3"):
            as_batches([wrong], None, 3)
    with pytest.raises(DataError, match="At least one"):
        as_batches([], None, 3)


def test_random_images():
    first, second = random_images([(9, 12), (4, 5)], 8)
    assert first.shape == (1, 9, 12, 8)
    assert second.shape == (1, 4, 5, 8)
    assert 0 <= first.min() < first.max() <= 255
    np.testing.assert_array_equal(first, random_images([(9, 12)], 8)[0])
