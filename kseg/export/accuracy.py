"""How accurate an exported file is beside the Keras model: mean IoU on labelled images, or classes on images alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np

from kseg.errors import ModelError
from kseg.export.graph import Size
from kseg.export.images import images_and_labels, labelled_data
from kseg.export.parity import Comparison, as_scores, compiled
from kseg.export.runtimes.litert import TFLite
from kseg.inference.model_info import ModelInfo
from kseg.metrics import confusion_matrix, mean_iou


class Scores:
    """Adds up the confusion matrices of the Keras model and of the file; without a data set nothing is counted."""

    def __init__(self, dataset: Any) -> None:
        self.dataset, classes = dataset, 0 if dataset is None else len(dataset.classes)
        self.counts = np.zeros((2, classes, classes), np.int64)

    def add(self, outputs: tuple[np.ndarray, np.ndarray], truth: np.ndarray | None) -> None:
        if truth is not None:
            classes, ignored = self.counts.shape[1], self.dataset.ignore_label
            for count, output in zip(self.counts, outputs, strict=True):
                found = (output.argmax(-1) if output.ndim == 4 else output)[0].astype(np.uint8)
                if found.shape != truth.shape:  # predictions are resized to the labels' size
                    found = cv2.resize(found, truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
                count += confusion_matrix(truth, found, classes, ignored)

    def mean_iou(self) -> tuple[float | None, float | None]:
        """Before and after exporting."""
        return (None, None) if self.dataset is None else tuple(map(mean_iou, self.counts))


class Lost:
    """What flatbuffers lose beside the Keras model, on the same images each time.

    Args:
        model: the Keras model, in float32.
        info: what its output is.
        data: labelled images, or images alone, as `kseg.export.check` takes them.
        size: (height, width) of the files.
        scratch: a path for the file that runs.
        limit: at most that many images, evenly spaced.

    Attributes:
        measure: "mean IoU" with labels, else "pixels".
    """

    def __init__(
        self, model: keras.Model, info: ModelInfo, data: Any, size: Size, scratch: Path, limit: int = 100
    ) -> None:
        dataset = None if info.multilabel else labelled_data(data, info.num_classes)
        if dataset is not None and len(dataset.classes) != info.num_classes:
            raise ModelError(f"The model has {info.num_classes} classes, the data set {len(dataset.classes)}")
        self.info, self.dataset, self.scratch = info, dataset, scratch
        self.measure, reference = "pixels" if dataset is None else "mean IoU", compiled(model, info)
        images = images_and_labels(
            data if dataset is None else dataset, dataset is not None, size, info, limit
        )
        self.expected = [(image, truth, reference(image)) for image, truth in images]

    def __call__(self, data: bytes) -> float:
        self.scratch.write_bytes(data)
        exported, scores = TFLite(self.scratch), Scores(self.dataset)
        comparison = Comparison(even=self.info.even if self.info.multilabel else None)
        for image, truth, expected in self.expected:
            found = as_scores(self.info, exported(image))
            comparison.add(expected, found)
            scores.add((expected, found), truth)
        before, after = scores.mean_iou()
        return 1 - comparison.parity().agreement if before is None else before - after
