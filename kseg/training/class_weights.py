"""Class weights from the frequency of the classes in a data set."""

import numpy as np

from kseg.data import Dataset
from kseg.errors import DataError


def median_frequency(dataset: Dataset) -> tuple[float, ...]:
    """Median frequency balancing: the weight of each class for `CrossEntropy(class_weights=...)`.

    The frequency of a class is its share of the valid pixels of those pictures that have it; its weight
    is the median of the frequencies over its own. Reads every mask once.

    Raises:
        DataError: when a class has no pixel in the whole data set.

    Source: Eigen and Fergus, "Predicting depth, surface normals and semantic labels with a common multi-scale
    convolutional architecture", ICCV 2015, section 6.3.2; used by SegNet on CamVid.
    """
    pixels, valid = np.zeros((2, dataset.num_classes))
    for index in range(len(dataset)):
        _, labels = dataset.load(index)
        counts = np.bincount(labels[labels != dataset.ignore_label].ravel(), minlength=dataset.num_classes)
        pixels += counts
        valid += (counts > 0) * counts.sum()
    if not pixels.all():
        absent = [name for name, count in zip(dataset.classes, pixels, strict=True) if not count]
        raise DataError(
            f"{dataset.name}: no pixel of {', '.join(absent)} in the {dataset.split} split, so median "
            "frequency gives no weight for it; remove the class, or write the weights into the recipe."
        )
    frequency = pixels / valid
    return tuple(float(weight) for weight in np.median(frequency) / frequency)
