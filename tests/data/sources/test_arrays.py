import numpy as np
import pytest

import kseg
from kseg.data import from_arrays, from_generator
from kseg.errors import DataError, KsegWarning

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (5, 8, 9, 3), dtype=np.uint8)
Y = RNG.integers(0, 3, (5, 8, 9), dtype=np.uint8)
Y[:, 0, :3] = 0, 1, 2


def same(dataset, x=X, y=Y):
    assert len(dataset) == len(x)
    for index, (image, mask) in enumerate(dataset):
        assert (image.dtype, mask.dtype) == (np.uint8, np.uint8)
        np.testing.assert_array_equal(image, x[index])
        np.testing.assert_array_equal(mask, y[index])


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X, Y),
        (list(X), list(Y)),
        (X.astype(np.float32), Y[..., None]),
        (X.astype(np.int64), Y.astype(np.int64)),
        (X.astype(np.uint16) * 257, Y.astype(np.float32)),
        (X.astype(np.uint16), Y),
    ],
)
def test_forms_of_arrays(x, y):
    dataset = from_arrays(x, y, classes=["a", "b", "c"])
    same(dataset)
    same(from_arrays(x, y))
    assert from_arrays(x, y).classes == ("class 0", "class 1", "class 2")
    assert dataset.classes == ("a", "b", "c")


def test_memory_maps_and_hdf5_are_read_by_sample(tmp_path):
    import h5py

    np.save(tmp_path / "x.npy", X)
    same(from_arrays(np.load(tmp_path / "x.npy", mmap_mode="r"), Y, classes=3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["y"] = X, Y
        same(from_arrays(file["x"], file["y"], classes=3))


def test_grey_and_sizes_that_differ():
    images = [X[0, :5], X[1, :, :4, 0], X[2, ..., :1]]
    masks = [Y[0, :5], Y[1, :, :4], Y[2] > 0]
    dataset = from_arrays(images, masks, classes=3)
    assert [image.shape for image, _ in dataset] == [(5, 9, 3), (8, 4, 3), (8, 9, 3)]
    np.testing.assert_array_equal(dataset[2][1], (Y[2] > 0).astype(int))
    np.testing.assert_array_equal(dataset[1][0][..., 2], X[1, :, :4, 0])


@pytest.mark.parametrize(
    ("x", "y", "says"),
    [
        (X, np.eye(3, dtype=np.uint8)[Y], r"sample 0: a mask of shape \(8, 9, 3\).*one-hot labels.*argmax"),
        (X, np.where(Y == 2, 7, Y), r"sample 0|arrays_00000"),
        (X, Y.astype(int) - 1, "sample 0: class id -1"),
        (X, Y + 0.5, "fractions"),
        (X, Y.astype(int) + 300, "class id 30"),
        (X, Y[:, :4], "4x9 pixels"),
        (X.transpose(0, 3, 1, 2), Y, "channels come last"),
        (X / 255.0, Y, "values from 0 to 1"),
        (np.where(X > 250, np.nan, X), Y, "NaN"),
        (X * 2.0, Y, "expected 0 to 255"),
        (X.astype(np.uint16) * 16, Y, "uint16 values up to"),
        (np.zeros((5, 8, 9, 7)), Y, "shape"),
        (X.astype(bool), Y, "bool"),
    ],
)
def test_bad_input_is_one_sentence_that_names_the_sample(x, y, says):
    with pytest.raises(DataError, match=says) as caught:
        from_arrays(x, y, classes=3)[0]
    assert "arrays" in str(caught.value)


def test_bad_input_reaches_the_user_of_fit():
    dataset = from_arrays(X, np.where(Y == 2, 7, Y), classes=3)
    with pytest.raises(DataError, match="class id 7 in the mask, but arrays has the classes 0 to 2"):
        kseg.data.Loader(dataset, batch_size=1)[0]


def test_at_once():
    with pytest.raises(DataError, match="5 images but 4 masks"):
        from_arrays(X, Y[:4])
    with pytest.raises(DataError, match="no samples"):
        from_arrays(X[:0], Y[:0])
    with pytest.raises(DataError, match="a list of names"):
        from_arrays(X, Y, classes="road")


def test_functions_by_number_and_generators():
    same(from_generator(lambda index: (X[index], Y[index]), 5, classes=3))
    calls = []

    def stream():
        calls.append(1)
        yield from zip(X, Y, strict=True)

    dataset = from_generator(stream, 5, classes=3)
    np.testing.assert_array_equal(dataset[3][1], Y[3])
    same(dataset)
    assert len(calls) == 1
    with pytest.raises(DataError, match="ended after 5 samples"):
        from_generator(stream, 6, classes=3)[5]
    with pytest.raises(DataError, match="expected an image and a mask"):
        from_generator(lambda index: X[index], 5, classes=3)[0]


def test_masks_in_black_and_white_are_two_classes():
    white = (Y > 1).astype(np.uint8) * 255
    with pytest.warns(KsegWarning, match="arrays: all masks hold only 0 and 255, so 255 is taken for class 1, person"):
        dataset = from_arrays(X, white, classes=["background", "person"])
    same(dataset, y=white // 255)
    np.testing.assert_array_equal(dataset.split(0.4)[1][0][1].max(), 1)
    ignored = white.copy()
    ignored[4, 0, 0] = 1  # now 255 is what it always is
    np.testing.assert_array_equal(from_arrays(X, ignored, classes=2)[0][1], ignored[0])
    np.testing.assert_array_equal(from_arrays(X, white, classes=3)[0][1], white[0])
    with pytest.raises(DataError, match="class id 255 in the mask"):
        from_arrays(X, white, classes=2, ignore_label=254)[0]
    np.testing.assert_array_equal(from_arrays(X, white, classes=2, ignore_label=255)[0][1], white[0])
    overlapping = np.stack([white, 255 - white], -1)
    with pytest.warns(KsegWarning, match="255 is taken for where a class is"):
        dataset = from_arrays(X, overlapping, classes=2, multilabel=True)
    np.testing.assert_array_equal(dataset[1][1], overlapping[1] // 255)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_another_number_of_channels_than_of_overlapping_classes_names_the_sample(count):
    masks = [np.zeros((8, 9, 3), np.uint8)] * 4 + [np.zeros((8, 9, count), np.uint8)]
    dataset = from_arrays(X, masks, classes=["a", "b", "c"], multilabel=True)
    assert dataset[3][1].shape == (8, 9, 3)
    says = rf"arrays_00004: a mask of shape \(8, 9, {count}\).* 3 classes .* a channel for each of a, b, c"
    with pytest.raises(DataError, match=says):
        dataset[4]
    with pytest.raises(DataError, match=says):
        kseg.data.Loader(dataset, batch_size=5, shuffle=False)[0]
    assert [one.file for one in kseg.data.check(dataset).findings if one.fatal] == ["arrays_00004"]
