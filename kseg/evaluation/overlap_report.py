"""`OverlapReport`: the scores of classes that overlap, each against the rest of the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kseg.evaluation.report import Report
from kseg.metrics import scores
from kseg.visualize.confusion import confusion_picture


@dataclass(frozen=True, eq=False)
class OverlapReport(Report):
    """The scores of a model whose classes overlap.

    IoU and accuracy (recall) are those of the pixels of each class; means are over the classes that occur. Pixel
    accuracy is that of all entries, a class and a pixel each.

    Args:
        confusion: int64 `(classes, 2, 2)`, `[class, true, predicted]`, without ignored entries.
        classes, images, dataset, worst: as of `Report`.

    Example:

    >>> confusion = np.array([[[3, 1], [0, 4]], [[8, 0], [0, 0]]])
    >>> report = OverlapReport(("car", "wet"), confusion, images=1)
    >>> report.class_iou.tolist(), report.mean_iou
    ([0.8, nan], 0.8)
    """

    @cached_property
    def class_iou(self) -> np.ndarray:
        return np.array([scores.class_iou(one)[1] for one in self.confusion])

    @cached_property
    def class_accuracy(self) -> np.ndarray:
        return np.array([scores.class_accuracy(one)[1] for one in self.confusion])

    @cached_property
    def class_share(self) -> np.ndarray:
        return self.confusion[:, 1].sum(-1) / np.maximum(self.confusion.sum((1, 2)), 1)

    @cached_property
    def pixels(self) -> int:
        """Pixels that are labelled for some class."""
        return int(self.confusion.sum((1, 2)).max())

    @cached_property
    def mean_iou(self) -> float:
        return scores.mean_of_present(self.class_iou)

    @cached_property
    def pixel_accuracy(self) -> float:
        return scores.pixel_accuracy(self.confusion.sum(0))

    @cached_property
    def mean_accuracy(self) -> float:
        return scores.mean_of_present(self.class_accuracy)

    @cached_property
    def frequency_weighted_iou(self) -> float:
        """IoU weighted by the classes' true pixels."""
        true = self.confusion[:, 1].sum(-1)
        return float((np.nan_to_num(self.class_iou) * true).sum() / max(true.sum(), 1))

    def picture(self) -> np.ndarray:
        """Draw the confusion of all classes together, "no" and "yes" in `[true, predicted]`."""
        return confusion_picture(self.confusion.sum(0), ("no", "yes"))
