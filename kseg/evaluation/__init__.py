"""Evaluation: a model's scores on a data set."""

from kseg.evaluation.boundary import BoundaryF1, TrimapIoU
from kseg.evaluation.curve import trimap_picture
from kseg.evaluation.evaluate import evaluate
from kseg.evaluation.report import Report, WorstImage, confusion_picture

__all__ = [
    "BoundaryF1",
    "Report",
    "TrimapIoU",
    "WorstImage",
    "confusion_picture",
    "evaluate",
    "trimap_picture",
]
