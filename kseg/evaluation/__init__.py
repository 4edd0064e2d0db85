"""Evaluation: a model's scores on a data set."""

from kseg.evaluation.boundary import BoundaryF1, TrimapIoU
from kseg.evaluation.evaluate import evaluate
from kseg.evaluation.report import Report, WorstImage
from kseg.visualize.confusion import confusion_picture
from kseg.visualize.curves import trimap_picture

__all__ = [
    "BoundaryF1",
    "Report",
    "TrimapIoU",
    "WorstImage",
    "confusion_picture",
    "evaluate",
    "trimap_picture",
]
