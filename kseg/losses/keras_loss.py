"""`KerasLoss`: any Keras loss, or function, of integer labels as a loss of label maps with an ignored label."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.losses.map_loss import MapLoss, per_pixel
from kseg.ops.replicas import replicas_in_sync, sum_over_replicas


@keras.saving.register_keras_serializable(package="kseg")
class KerasLoss(MapLoss):
    """A loss of Keras or your own, with an ignored label and class weights.

    What the loss gives decides how it is averaged:

    - One number a pixel, as `keras.losses.SparseCategoricalCrossentropy(from_logits=True)` does before its own
      reduction: the mean is over the labelled pixels of the whole batch, on all devices. Ignored pixels reach the loss
      as class 0 and count nowhere.
    - One number an image, or one for the batch: it is averaged as it is. Only a loss that has an `ignore_label` or
      `ignore_class` of its own, or data without an ignored label, can be trained so.

    Args:
        loss: a `keras.losses.Loss`, or a function of (labels, predictions). Labels are int32
            `(batch, height, width)`, predictions float32 `(batch, height, width, classes)`.
        ignore_label, class_weights, name: as in `MapLoss`.

    Raises:
        SettingsError: while the training step is traced, where ignored pixels cannot be left out.

    Example:

    >>> loss = KerasLoss(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    >>> float(loss(np.array([[[0, 255]]]), np.zeros((1, 1, 2, 2))))
    0.6931471824645996
    """

    def __init__(
        self,
        loss: keras.losses.Loss | Callable[[Any, Any], Any],
        ignore_label: int | None = 255,
        class_weights: Any = None,
        name: str | None = None,
    ) -> None:
        if isinstance(loss, dict):
            loss = keras.saving.deserialize_keras_object(loss)
        super().__init__(
            ignore_label, class_weights, name=name or getattr(loss, "name", getattr(loss, "__name__", None))
        )
        if not callable(loss):
            raise SettingsError(
                f"A loss is a Keras loss or a function of labels and predictions; got {loss!r}."
            )
        self.loss = loss
        self._of_pixels = True

    def call(self, y_true, y_pred, sample_weight=None):
        labels, logits = self.pair(y_true, y_pred)
        valid = self.valid(labels)
        inside = ops.where(valid, labels, 0)
        function = self.loss.call if isinstance(self.loss, keras.losses.Loss) else self.loss
        losses = ops.cast(function(labels if self._knows_ignored() else inside, logits), "float32")
        self._of_pixels = len(losses.shape) == 3
        if not self._of_pixels:
            return self._mean_of_images(losses, sample_weight)
        weights = ops.cast(valid, "float32") * self.weights_of_pixels(inside, logits.shape[-1])
        if sample_weight is not None:
            weights = weights * per_pixel(ops.cast(sample_weight, "float32"))
        # Not 0 times a loss that may be infinite where nothing counts.
        total = ops.sum(ops.where(valid, losses, 0.0) * weights)
        return ops.divide_no_nan(total, sum_over_replicas(ops.sum(weights)))

    def weight(self, labels, classes):
        if self._of_pixels:
            return super().weight(labels, classes)
        return ops.convert_to_tensor(1.0 / replicas_in_sync(), "float32")

    def for_data(
        self,
        ignore_label: int | None,
        class_weights: Any = None,
        seed: int | None = None,
        from_logits: bool = True,
    ) -> MapLoss:
        if not from_logits:
            raise SettingsError(
                f"The model gives probabilities, and the loss {self.name} is used with models that give logits: leave "
                "the model's last activation out."
            )
        weights = self.class_weights if class_weights is None else class_weights
        return KerasLoss(
            self.loss, ignore_label, weights, self.name
        )  # not by its config: it may not be registered

    def _mean_of_images(self, losses: Any, sample_weight: Any) -> Any:
        if self.class_weights is not None or sample_weight is not None:
            raise SettingsError(
                f"The loss {self.name} gives no number for each pixel, so nothing can weigh pixels."
            )
        if self.ignore_label is not None and not self._knows_ignored():
            raise SettingsError(
                f"The loss {self.name} gives {len(losses.shape)}-dimensional numbers, not one for each pixel, and has "
                f"no `ignore_label` of its own: pixels with the label {self.ignore_label} cannot be left out. Let it "
                "return (batch, height, width), give it an attribute `ignore_label`, or use data without one."
            )
        return ops.mean(losses) / replicas_in_sync()

    def _knows_ignored(self) -> bool:
        own = getattr(self.loss, "ignore_label", getattr(self.loss, "ignore_class", None))
        return own is not None and own == self.ignore_label

    def get_config(self) -> dict[str, Any]:
        return {
            "loss": keras.saving.serialize_keras_object(self.loss),
            "ignore_label": self.ignore_label,
            "class_weights": super().get_config()["class_weights"],
            "name": self.name,
        }
