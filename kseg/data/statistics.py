"""How often each class occurs, and the class weights that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kseg.data.sources.as_dataset import as_dataset


@dataclass(frozen=True)
class Histogram:
    """Label counts of a data set, ignored pixels left out. Arrays of int64 (num_classes,).

    Args:
        pixels: pixels of each class.
        labelled_where_present: labelled pixels, of any class, in the images where the class occurs.
        images: images where the class occurs.
    """

    pixels: np.ndarray
    labelled_where_present: np.ndarray
    images: np.ndarray

    @property
    def pictures(self) -> np.ndarray:
        """The old name of `images`."""
        return self.images


def class_histogram(dataset: Any, num_classes: int | None = None) -> Histogram:
    """Count the labels of every mask; every sample is read once.

    Args:
        dataset: a `Dataset`, or what `as_dataset` takes: `(x, y)`, a `tf.data.Dataset`, a `PyDataset`.
        num_classes: of data that does not say it; None: up to the highest id.
    """
    dataset = as_dataset(dataset, num_classes)
    counts = np.zeros((len(dataset), dataset.num_classes), np.int64)
    for index in range(len(dataset)):
        counts[index] = np.bincount(dataset.load(index)[1].ravel(), minlength=256)[: dataset.num_classes]
    present = counts > 0
    labelled = (present * counts.sum(axis=1, keepdims=True)).sum(axis=0)
    return Histogram(counts.sum(axis=0), labelled, present.sum(axis=0))


def median_frequency_weights(histogram: Any, num_classes: int | None = None) -> np.ndarray:
    """Class weights median(f) / f, float64 (num_classes,), for ``CrossEntropy(class_weights=...)``.

    Args:
        histogram: a `Histogram`, or the data that `class_histogram` takes with `num_classes`.
        num_classes: see `class_histogram`.

    f is a class's share of the labelled pixels in the images where it occurs (Eigen and Fergus 2015,
    section 6.3.1, as SegNet uses it). A class that never occurs gets the weight 1: no pixel will use it.
    """
    if not isinstance(histogram, Histogram):
        histogram = class_histogram(histogram, num_classes)
    present = histogram.pixels > 0
    weights = np.ones(len(histogram.pixels))
    if present.any():
        frequency = histogram.pixels[present] / histogram.labelled_where_present[present]
        weights[present] = np.median(frequency) / frequency
    return weights
