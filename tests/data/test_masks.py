import numpy as np
import pytest

import kseg
from kseg.data.masks import check_ids, kind_of, size_mismatch
from kseg.errors import DataError


def dataset(**kind):
    x, y = np.zeros((1, 4, 5, 3), np.uint8), np.zeros((1, 4, 5), np.uint8)
    y = np.zeros((1, 4, 5, 2), np.uint8) if kind else y
    return kseg.data.from_arrays(x, y, classes=["a", "b"], name="mine", **kind)


def test_ids_are_classes_or_ignored():
    one, several = dataset(), dataset(multilabel=True)
    labels = np.array([[0, 1, 255]], np.uint8)
    assert check_ids(labels, one, "m.png") is None
    assert check_ids(np.stack([labels, labels], -1), several, "m.npy") is None
    labels[0, 0] = 7
    with pytest.raises(DataError, match=r"m\.png: class id 7 in the mask, but mine has the classes 0 to 1"):
        check_ids(labels, one, "m.png")
    with pytest.raises(DataError, match=r"m\.npy: the value 7 in the mask of class a, where 0 and 1 are expected"):
        check_ids(np.stack([labels, labels], -1), several, "m.npy")


def test_sizes_that_differ():
    assert "4x5" in size_mismatch("a", (4, 5), "b", (3, 3))
    assert "on its side" in size_mismatch("a", (4, 5), "b", (5, 4))
    assert "on its side" not in size_mismatch("a", (4, 5), "b", (3, 3))


def test_the_kind_of_data_that_does_not_say():
    assert kind_of(object()) == (3, (0, 255), False)
    assert kind_of(dataset(multilabel=True)) == (3, (0, 255), True)
