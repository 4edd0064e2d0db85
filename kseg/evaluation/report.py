"""`Report`: what an evaluation found, as a table, as plain data, as an image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kseg.metrics import scores
from kseg.visualize.confusion import confusion_picture

SUMMARY = {
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}


@dataclass(frozen=True)
class WorstImage:
    """One of the images with the lowest scores.

    Args:
        index: its number in the data set.
        name: its name.
        mean_iou: its own mean IoU, in [0, 1].

    Example:

    >>> kseg.evaluation.WorstImage(3, "img_3", 0.25).mean_iou
    0.25
    """

    index: int
    name: str
    mean_iou: float


@dataclass(frozen=True, eq=False)
class Report:
    """The scores of a model on a data set, all from one confusion matrix over every labelled pixel.

    Scores of a class without a pixel are NaN (None in `to_json`), and means leave it out.

    Args:
        classes: class names.
        confusion: int64 `(classes, classes)`, `[true, predicted]`, without ignored pixels.
        images: number of images.
        dataset: name and split of the data set.
        worst: the images with the lowest mean IoU of their own (over the classes in their truth or
            prediction), lowest first.
        trimap: mean IoU in the bands of 1, 2, ... pixels around true edges; empty if not asked for.
        boundary_f1: the BF measure, or None.

    Scores of a class without a pixel are NaN (`None` in `to_json`) and means leave it out.

    Example:

    >>> confusion = np.array([[3, 1], [0, 4]])
    >>> report = kseg.evaluation.Report(("background", "thing"), confusion, images=1, dataset="mine val")
    >>> round(report.mean_iou, 3)
    0.775
    """

    classes: tuple[str, ...]
    confusion: np.ndarray
    images: int
    dataset: str = ""
    worst: tuple[WorstImage, ...] = ()
    trimap: tuple[float, ...] = ()
    boundary_f1: float | None = None

    @cached_property
    def class_iou(self) -> np.ndarray:
        """float64 (classes,)."""
        return scores.class_iou(self.confusion)

    @cached_property
    def class_accuracy(self) -> np.ndarray:
        """Recall of each class, float64 (classes,)."""
        return scores.class_accuracy(self.confusion)

    @cached_property
    def class_share(self) -> np.ndarray:
        """Each class's share of the labelled pixels, float64 (classes,)."""
        return self.confusion.sum(axis=1) / max(self.pixels, 1)

    @cached_property
    def pixels(self) -> int:
        """Labelled pixels, all together."""
        return int(self.confusion.sum())

    @cached_property
    def mean_iou(self) -> float:
        return scores.mean_iou(self.confusion)

    @cached_property
    def pixel_accuracy(self) -> float:
        return scores.pixel_accuracy(self.confusion)

    @cached_property
    def mean_accuracy(self) -> float:
        return scores.mean_accuracy(self.confusion)

    @cached_property
    def frequency_weighted_iou(self) -> float:
        return scores.frequency_weighted_iou(self.confusion)

    def table(self) -> str:
        """Format IoU, accuracy and share of pixels of each class, the summary, the edges and the worst images as text.

        Returns:
            A string of several lines.
        """
        width = max(
            len("class"), *(len(name) for name in self.classes), *(len(name) for name in SUMMARY.values())
        )
        lines = [f"{'class':{width}}     IoU  accuracy  pixels"]
        for name, iou, accuracy, share in zip(
            self.classes, self.class_iou, self.class_accuracy, self.class_share, strict=True
        ):
            lines.append(f"{name:{width}}  {_number(iou)}    {_number(accuracy)}  {share:6.1%}")
        lines.append("")
        lines += [f"{name:{width}}  {_number(getattr(self, key))}" for key, name in SUMMARY.items()]
        if self.boundary_f1 is not None:
            lines.append(f"{'boundary F1':{width}}  {_number(self.boundary_f1)}")
        if self.trimap:
            shown = [w for w in (1, 2, 3, 5, 10, 20, 40) if w <= len(self.trimap)]
            lines += ["", "mean IoU within this many pixels of a true edge"]
            lines += [
                "  ".join(f"{w:6d}" for w in shown),
                "  ".join(_number(self.trimap[w - 1]) for w in shown),
            ]
        lines += [
            "",
            f"{self.images} images, {self.pixels:,} labelled pixels"
            + (f", {self.dataset}" if self.dataset else ""),
        ]
        if self.worst:
            lines += ["", "worst images, by their own mean IoU"]
            lines += [f"{_number(image.mean_iou)}  {image.name}" for image in self.worst]
        return "\n".join(lines)

    def to_json(self) -> dict:
        """Give everything as plain lists, numbers and strings, for `json.dumps`.

        Returns:
            A dict; NaN becomes None.
        """
        return {
            "dataset": self.dataset,
            "images": self.images,
            "pixels": self.pixels,
            **{key: _plain(getattr(self, key)) for key in SUMMARY},
            "classes": list(self.classes),
            "class_iou": _plain(self.class_iou),
            "class_accuracy": _plain(self.class_accuracy),
            "class_share": _plain(self.class_share),
            "confusion": self.confusion.tolist(),
            "worst": [{"index": w.index, "name": w.name, "mean_iou": _plain(w.mean_iou)} for w in self.worst],
            "trimap_iou": {str(w): _plain(iou) for w, iou in enumerate(self.trimap, 1)} or None,
            "boundary_f1": _plain(self.boundary_f1),
        }

    def picture(self) -> np.ndarray:
        """Draw the confusion matrix.

        Returns:
            uint8 RGB image `(height, width, 3)`.
        """
        return confusion_picture(self.confusion, self.classes)


def _number(value: float) -> str:
    return "     -" if math.isnan(value) else f"{value:6.4f}"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, Mapping):
        return value
    if np.ndim(value):
        return [_plain(one) for one in value]
    return None if math.isnan(value) else float(value)
