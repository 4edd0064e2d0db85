"""Median frequency balancing by hand."""

import numpy as np
import pytest

from kseg.data import Dataset
from kseg.errors import DataError
from kseg.training import median_frequency


class Masks:
    def __init__(self, *masks):
        self.masks = [np.array(mask, "uint8") for mask in masks]

    def __len__(self):
        return len(self.masks)

    def name_of(self, index):
        return str(index)

    def read(self, index):
        return np.zeros((*self.masks[index].shape, 3), "uint8"), self.masks[index]


def dataset(*masks):
    return Dataset("m", "train", ("a", "b", "c"), ((0, 0, 0),) * 3, Masks(*masks))


def test_weights_by_hand():
    # Pictures of 4 and 3 valid pixels; a is in both, b in the first, c in the second.
    weights = median_frequency(dataset([[0, 0, 0, 1]], [[0, 2, 2, 255]]))
    frequency = np.array([4 / 7, 1 / 4, 2 / 3])
    np.testing.assert_allclose(weights, (4 / 7) / frequency)


def test_class_without_pixels():
    with pytest.raises(DataError, match="no pixel of c"):
        median_frequency(dataset([[0, 0, 1]]))
