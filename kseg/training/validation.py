"""`Validation`: loss and mean IoU over the whole images of a data set, between two epochs."""

from __future__ import annotations

import warnings

import keras
import numpy as np

from kseg.data import Dataset, pipeline
from kseg.data.masks import kind_of
from kseg.errors import KsegWarning
from kseg.losses import MapLoss
from kseg.metrics import class_confusions, class_iou, confusion_matrix, mean_iou
from kseg.ops.labels import class_ids, two_classes
from kseg.parts import tensorflow as tf
from kseg.training.distribution.strategy import place, sum_over_workers


class Validation:
    """Scores a model image by image, at the images' own size; call it after an epoch.

    Several machines take every n-th image each and add up what they counted; the devices of one machine
    leave it to the first.

    Args:
        model: a Keras model from images to logits.
        dataset: what to score it on.
        loss: the training's. Its hard examples and its sampling are left out: every labelled pixel counts.
    """

    def __init__(self, model: keras.Model, dataset: Dataset, loss: MapLoss) -> None:
        number, workers = place()
        own = range(number, number + 1)
        self.dataset = dataset
        self.batches = pipeline(dataset, batch_size=workers, parts=workers, own=own)
        whole = loss.for_validation()

        @tf.function(input_signature=self.batches.element_spec, autograph=False)
        def score(images, labels):
            logits = model(images, training=False)
            if kind_of(dataset).multilabel:
                found = tf.cast(logits > (0.0 if whole.from_logits else 0.5), tf.int32)
            else:
                found = class_ids(two_classes(logits, whole.from_logits))
            return whole(labels, logits), found

        self._score, self._said = score, False

    def __call__(self) -> dict[str, float]:
        """`val_loss`, the mean over the images with a label, and `val_mean_iou` of all their pixels."""
        classes = self.dataset.num_classes
        overlap, ignored = kind_of(self.dataset).multilabel, self.dataset.ignore_label
        counts = np.zeros((classes, 2, 2) if overlap else (classes, classes), np.int64)
        losses = np.zeros(2, np.float64)
        for images, labels in self.batches:
            loss, predictions = self._score(images, labels)
            if overlap:
                counts += class_confusions(labels.numpy(), predictions.numpy(), ignored)
            else:
                counts += confusion_matrix(labels.numpy(), predictions.numpy(), classes, ignored)
            losses += (float(loss), (labels.numpy() != ignored).any())
        counts, (total, images) = sum_over_workers(counts), sum_over_workers(losses)
        if overlap:
            scores = [class_iou(one)[1] for one in counts]
            score = np.nanmean(scores) if np.isfinite(scores).any() else 0.0
            return {"val_loss": float(total / max(images, 1)), "val_mean_iou": float(score)}
        present = [self.dataset.classes[number] for number in np.flatnonzero(counts.sum(1))]
        if len(present) == 1 and not self._said:  # once
            self._said = True
            warnings.warn(
                f"{self.dataset.name}: every mask of the split {self.dataset.split} holds the class {present[0]!r} "
                "only, so its scores tell nothing about the others; run `kseg check-data`.",
                KsegWarning,
                stacklevel=2,
            )
        return {"val_loss": float(total / max(images, 1)), "val_mean_iou": float(mean_iou(counts))}
