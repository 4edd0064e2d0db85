"""`PixelAccuracy`: the share of pixels that are right, for `model.compile`."""

from typing import Any

import keras
from keras import ops

from kseg.metrics.confusion import ConfusionMatrix


@keras.saving.register_keras_serializable(package="kseg")
class PixelAccuracy(ConfusionMatrix):
    """The share of the labelled pixels whose class is right.

    Args:
        num_classes: number of classes; 1 is 2, of a model with one channel.
        ignore_label, name, dtype, from_logits, threshold: as in `ConfusionMatrix`.

    0 before anything was counted; NaN once a label outside the classes was met.

    Raises:
        SettingsError: a threshold that is not a fraction.

    Example:

    >>> metric = kseg.metrics.PixelAccuracy(2)
    >>> metric.update_state(np.array([[[0, 1, 1, 255]]]), np.array([[[0, 1, 0, 0]]]))
    >>> round(float(metric.result()), 3)
    0.667
    """

    usual_name = "pixel_accuracy"
    _direction = "up"  # where Keras's callbacks look, with mode="auto"

    def result(self) -> Any:
        counts = ops.cast(self.counts, "float32")
        share = ops.divide_no_nan(ops.sum(ops.diagonal(counts)), ops.sum(counts))
        return ops.where(self.unknown > 0, float("nan"), share)
