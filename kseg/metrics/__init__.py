"""Scores of a segmentation, all from one confusion matrix."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
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

_HOMES = {
    "ConfusionMatrix": "confusion",
    "MeanIoU": "confusion",
    "class_accuracy": "scores",
    "class_iou": "scores",
    "confusion_matrix": "scores",
    "frequency_weighted_iou": "scores",
    "mean_accuracy": "scores",
    "mean_iou": "scores",
    "pixel_accuracy": "scores",
}

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

__getattr__, __dir__ = on_demand(__name__, _HOMES)
