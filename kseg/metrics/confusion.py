"""`ConfusionMatrix` and `MeanIoU`: Keras metrics that count pixels by true and predicted class."""

from typing import Any

import keras
from keras import ops

from kseg import checks
from kseg.errors import SettingsError
from kseg.ops.labels import class_ids, count_ids, two_classes


@keras.saving.register_keras_serializable(package="kseg")
class ConfusionMatrix(keras.metrics.Metric):
    """The confusion matrix of all pixels seen since `reset_state`.

    `update_state(labels, predictions)` takes labels `(batch, height, width)` or `(batch, height, width, 1)`,
    class ids of any integer or float type, and predictions that are logits or probabilities `(batch, height,
    width, num_classes)`, or class ids in the labels' shape.

    `result()` gives `(num_classes, num_classes)`, `[true, predicted]`. Counts are int64 (float32 stops
    counting at 2**24; under JAX they are int32 unless x64 is enabled). An id outside the classes is not
    dropped silently: it is counted in `unknown`, and as long as that is above zero every entry of `result()`
    is -1. `sample_weight`, as `weighted_metrics` in `compile` get it, is 0 (left out) or 1, one an image `(batch,)` or
    one a pixel `(batch, height, width)`; other weights count as unknown too.

    Args:
        num_classes: number of classes; 1 counts as 2, of a model with one channel: its logit (or probability) is
            that of class 1.
        ignore_label: pixels with this true label are left out; None leaves out none.
        name, dtype: as in Keras.
        from_logits: False for a model of one channel that ends in a sigmoid.
        threshold: of the sigmoid of one channel, above which a pixel is class 1.

    Example:

    >>> matrix = kseg.metrics.ConfusionMatrix(2)
    >>> matrix.update_state(np.array([[[0, 1, 255]]]), np.array([[[0, 0, 1]]]))
    >>> np.asarray(matrix.result()).tolist()
    [[1, 0], [1, 0]]
    """

    usual_name = "confusion_matrix"

    def __init__(
        self,
        num_classes: int,
        ignore_label: int | None = 255,
        name: str | None = None,
        dtype: Any = None,
        from_logits: bool = True,
        threshold: float = 0.5,
    ) -> None:
        super().__init__(name=name or self.usual_name, dtype=dtype)
        self.num_classes = max(checks.whole(num_classes, "num_classes"), 2)
        self.from_logits, self.threshold = bool(from_logits), checks.fraction(threshold, "threshold")
        self.ignore_label = ignore_label
        self.counts = self.add_variable(
            (self.num_classes, self.num_classes), "zeros", dtype="int64", name="counts"
        )
        self.unknown = self.add_variable((), "zeros", dtype="int64", name="unknown")

    def update_state(self, y_true, y_pred, sample_weight=None):
        labels, predictions = self._ids(ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred))
        counted = self._counted(labels, sample_weight)
        classes = self.num_classes
        known = (labels >= 0) & (labels < classes) & (predictions >= 0) & (predictions < classes)
        # One more bin for what is left out.
        pairs = ops.where(known & counted, labels * classes + predictions, classes * classes)
        counts = count_ids(ops.reshape(pairs, (-1,)), classes * classes + 1)[: classes * classes]
        unknown = ops.logical_not(known) & counted
        self.counts.assign_add(ops.cast(ops.reshape(counts, (classes, classes)), self.counts.dtype))
        self.unknown.assign_add(ops.cast(ops.sum(ops.cast(unknown, "int32")), self.unknown.dtype))

    def _counted(self, labels: Any, sample_weight: Any) -> Any:
        """Which labels count: those that are not ignored, of weight 1; other weights than 0 and 1 are `unknown`."""
        counted = ops.ones_like(labels, "bool") if self.ignore_label is None else labels != self.ignore_label
        if sample_weight is None:
            return counted
        weights, rank = ops.convert_to_tensor(sample_weight), len(labels.shape)
        if len(weights.shape) == 1:
            weights = ops.reshape(weights, (-1,) + (1,) * (rank - 1))
        elif len(weights.shape) == rank - 1:
            weights = ops.expand_dims(weights, -1)
        elif len(weights.shape) == rank + 1 and weights.shape[-1] == 1:
            weights = ops.squeeze(weights, -1)
        if len(weights.shape) != rank:
            raise SettingsError(
                f"Expected `sample_weight` of one number an image or a pixel; got {tuple(weights.shape)} for labels "
                f"{tuple(labels.shape)}"
            )
        other = ops.cast((weights != 0) & (weights != 1), "int32")
        self.unknown.assign_add(ops.cast(ops.sum(other), self.unknown.dtype))
        return counted & (weights != 0)

    def _ids(self, labels, predictions):
        if len(labels.shape) == 4 and labels.shape[-1] not in (1, None):
            raise SettingsError(
                f"Expected labels of class ids (batch, height, width); got {tuple(labels.shape)}: of one-hot labels "
                'take the argmax; of classes that overlap, give IoU or Dice mode="multilabel"'
            )
        if len(labels.shape) == 4:
            labels = ops.squeeze(labels, -1)
        if len(predictions.shape) == len(labels.shape) + 1:
            if self.num_classes == 2:
                predictions = two_classes(ops.cast(predictions, "float32"), self.from_logits, self.threshold)
            if predictions.shape[-1] != self.num_classes:
                raise SettingsError(
                    f"Predictions have {predictions.shape[-1]} channels for {self.num_classes} classes"
                )
            predictions = class_ids(predictions)
        if len(predictions.shape) != len(labels.shape):
            raise SettingsError(
                "Expected labels (batch, height, width) and predictions (batch, height, width[, classes]); "
                f"got {tuple(labels.shape)} and {tuple(predictions.shape)}"
            )
        return ops.cast(labels, "int32"), ops.cast(predictions, "int32")

    def result(self) -> Any:
        return ops.where(self.unknown > 0, -1, ops.convert_to_tensor(self.counts))

    def get_config(self) -> dict[str, Any]:
        return {
            "num_classes": self.num_classes,
            "ignore_label": self.ignore_label,
            "name": self.name,
            "dtype": self.dtype,
            "from_logits": self.from_logits,
            "threshold": self.threshold,
        }


@keras.saving.register_keras_serializable(package="kseg")
class MeanIoU(ConfusionMatrix):
    """Mean intersection over union from one confusion matrix of all pixels seen, for `model.compile`.

    `update_state` is that of `ConfusionMatrix`. `result()` is a scalar: the mean over the classes that occur
    in truth or prediction (a class in neither is left out, as in the released FCN's `score.py`); 0 before
    anything was counted; NaN once a label outside the classes was met, which is a fault of the data, not of
    the model. Keras's own metric without `ignore_class` drops such pixels and looks better than it is.

    Args:
        num_classes: number of classes.
        ignore_label: pixels with this true label are left out; None leaves out none.
        name, dtype: as in Keras.
        from_logits: of a model with one channel: its values are logits of class 1, otherwise probabilities.
        threshold: of a model with one channel: the probability above which a pixel is of class 1.

    Reference:
        Shelhamer et al., "Fully convolutional networks for semantic segmentation", TPAMI 2017; the released
        `score.py`.

    Example:

    >>> metric = kseg.metrics.MeanIoU(num_classes=2)
    >>> metric.update_state(np.array([[[0, 0, 1, 255]]]), np.array([[[0, 1, 1, 0]]]))
    >>> float(metric.result())
    0.5
    """

    usual_name = "mean_iou"
    _direction = "up"  # where Keras's callbacks look, with mode="auto"

    def result(self) -> Any:
        counts = ops.cast(self.counts, "float32")
        hit = ops.diagonal(counts)
        union = ops.sum(counts, 0) + ops.sum(counts, 1) - hit
        present = ops.sum(ops.cast(union > 0, "float32"))
        mean = ops.divide_no_nan(ops.sum(ops.divide_no_nan(hit, union)), present)
        return ops.where(self.unknown > 0, float("nan"), mean)
