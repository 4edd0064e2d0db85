"""Scores of a segmentation, all from one confusion matrix."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.metrics.accuracy import PixelAccuracy
    from kseg.metrics.boundary_f1 import BoundaryF1
    from kseg.metrics.confusion import ConfusionMatrix, MeanIoU
    from kseg.metrics.dice import Dice
    from kseg.metrics.iou import IoU
    from kseg.metrics.scores import (
        class_accuracy,
        class_confusions,
        class_iou,
        confusion_matrix,
        frequency_weighted_iou,
        mean_accuracy,
        mean_iou,
        pixel_accuracy,
    )

_HOMES = {
    "BoundaryF1": "boundary_f1",
    "Dice": "dice",
    "IoU": "iou",
    "PixelAccuracy": "accuracy",
    "ConfusionMatrix": "confusion",
    "MeanIoU": "confusion",
    "class_accuracy": "scores",
    "class_confusions": "scores",
    "class_iou": "scores",
    "confusion_matrix": "scores",
    "frequency_weighted_iou": "scores",
    "mean_accuracy": "scores",
    "mean_iou": "scores",
    "pixel_accuracy": "scores",
}

__all__ = [
    "BoundaryF1",
    "Dice",
    "IoU",
    "PixelAccuracy",
    "ConfusionMatrix",
    "MeanIoU",
    "class_accuracy",
    "class_confusions",
    "class_iou",
    "confusion_matrix",
    "frequency_weighted_iou",
    "mean_accuracy",
    "mean_iou",
    "pixel_accuracy",
]

__getattr__, __dir__ = on_demand(__name__, _HOMES)
