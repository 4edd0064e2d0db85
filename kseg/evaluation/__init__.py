"""Evaluation: a model's scores on a data set."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.evaluation.boundary import BoundaryF1, TrimapIoU
    from kseg.evaluation.crf_search import tune_crf
    from kseg.evaluation.report import Report, WorstImage
    from kseg.evaluation.scoring import evaluate
    from kseg.evaluation.sheet import contact_sheet
    from kseg.visualize.confusion import confusion_picture
    from kseg.visualize.curves import trimap_picture

_HOMES = {
    "BoundaryF1": "boundary",
    "Report": "report",
    "TrimapIoU": "boundary",
    "WorstImage": "report",
    "confusion_picture": "kseg.visualize.confusion",
    "contact_sheet": "sheet",
    "evaluate": "scoring",
    "trimap_picture": "kseg.visualize.curves",
    "tune_crf": "crf_search",
}

__all__ = [
    "BoundaryF1",
    "Report",
    "TrimapIoU",
    "WorstImage",
    "confusion_picture",
    "contact_sheet",
    "evaluate",
    "trimap_picture",
    "tune_crf",
]

__getattr__, __dir__ = on_demand(__name__, _HOMES)
