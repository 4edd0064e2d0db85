"""Scores of a segmentation, all from one confusion matrix."""

from kseg.metrics.confusion import ConfusionMatrix, MeanIoU
from kseg.metrics.scores import (
    class_accuracy,
    class_iou,
    confusion_matrix,
    frequency_weighted_iou,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
)

__all__ = [
    "ConfusionMatrix",
    "MeanIoU",
    "class_accuracy",
    "class_iou",
    "confusion_matrix",
    "frequency_weighted_iou",
    "mean_accuracy",
    "mean_iou",
    "pixel_accuracy",
]
