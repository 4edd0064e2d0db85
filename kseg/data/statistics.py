"""How often each class occurs, and the class weights that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kseg.data.masks import kind_of
from kseg.data.sources.as_dataset import as_dataset


@dataclass(frozen=True)
class Histogram:
    """Label counts of a data set, without ignored pixels, each an int64 array `(num_classes,)`.

    Args:
        pixels: pixels of each class.
        labelled_where_present: labelled pixels, of any class, in the images where the class occurs.
        images: images where the class occurs.

    Example:

    >>> images, masks = np.zeros((2, 8, 8, 3), "uint8"), np.ones((2, 8, 8), "uint8")
    >>> kseg.data.class_histogram((images, masks)).pixels.tolist()
    [0, 128]
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
        num_classes: number of classes of data that does not say it; None counts up to the highest id.

    Returns:
        A `Histogram`.

    Example:

    >>> images, masks = np.zeros((2, 8, 8, 3), "uint8"), np.ones((2, 8, 8), "uint8")
    >>> kseg.data.class_histogram((images, masks)).images.tolist()
    [0, 2]
    """
    dataset = as_dataset(dataset, num_classes)
    counts = np.zeros((len(dataset), dataset.num_classes), np.int64)
    totals = np.zeros_like(counts)  # labelled pixels
    for index in range(len(dataset)):
        labels = dataset.load(index)[1]
        if kind_of(dataset).multilabel:
            counts[index] = (labels == 1).sum(axis=(0, 1))
            totals[index] = (labels != dataset.ignore_label).sum(axis=(0, 1))
        else:
            counts[index] = np.bincount(labels.ravel(), minlength=256)[: dataset.num_classes]
            totals[index] = counts[index].sum()
    present = counts > 0
    labelled = (present * totals).sum(axis=0)
    return Histogram(counts.sum(axis=0), labelled, present.sum(axis=0))


def median_frequency_weights(histogram: Any, num_classes: int | None = None) -> np.ndarray:
    """Compute class weights median(f) / f, for `CrossEntropy(class_weights=...)`.

    f is a class's share of the labelled pixels in the images where it occurs. A class that never occurs gets
    the weight 1: no pixel will use it.

    Args:
        histogram: a `Histogram`, or the data that `class_histogram` takes with `num_classes`.
        num_classes: see `class_histogram`.

    Returns:
        float64 `(num_classes,)`.

    Reference:
        Eigen and Fergus, "Predicting depth, surface normals and semantic labels with a common multi-scale
        convolutional architecture", ICCV 2015, section 6.3.1, as SegNet uses it.

    Example:

    >>> images, masks = np.zeros((1, 2, 2, 3), "uint8"), np.array([[[0, 0], [0, 1]]], "uint8")
    >>> kseg.data.median_frequency_weights(kseg.data.class_histogram((images, masks))).round(3).tolist()
    [0.667, 2.0]
    """
    if not isinstance(histogram, Histogram):
        histogram = class_histogram(histogram, num_classes)
    present = histogram.pixels > 0
    weights = np.ones(len(histogram.pixels))
    if present.any():
        frequency = histogram.pixels[present] / histogram.labelled_where_present[present]
        weights[present] = np.median(frequency) / frequency
    return weights
