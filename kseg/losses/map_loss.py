"""`MapLoss`: what every loss of kseg is, a loss of label maps with an ignored label."""

from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.losses.class_weights import checked_class_weights, weights_of_classes
from kseg.ops.labels import two_classes
from kseg.ops.replicas import replicas_in_sync


@keras.saving.register_keras_serializable(package="kseg")
class MapLoss(keras.losses.Loss):
    """Base class of losses of whole label maps, one number a batch, that `kseg.training.fit` can train with.

    Labels are class ids `(batch, height, width)` or `(batch, height, width, 1)`, predictions are `(batch,
    height, width, classes)` and computed in float32 whatever their type. A subclass implements `call`, and
    `weight` if its mean is not over the labelled pixels.
    Predictions of one channel are the logit (or probability) of class 1 of the two classes 0 and 1.

    Args:
        ignore_label: pixels with this label count nowhere; None ignores nothing.
        class_weights: one weight per class, or a dict from class id to weight; see
            `kseg.losses.class_weights`.
        from_logits: False for a model whose output is probabilities.
        reduction: "mean" or "sum".
        name: name of the loss.

    Example:

    >>> class Brier(kseg.losses.MapLoss):
    ...     def call(self, y_true, y_pred, sample_weight=None):
    ...         labels, logits = self.pair(y_true, y_pred)
    ...         truth = keras.ops.one_hot(labels, logits.shape[-1])
    ...         return keras.ops.mean((keras.ops.softmax(logits) - truth) ** 2)
    >>> float(Brier()(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 2))))
    0.25
    """

    def __init__(
        self,
        ignore_label: int | None = 255,
        class_weights: Any = None,
        from_logits: bool = True,
        reduction: str = "mean",
        name: str | None = None,
    ) -> None:
        # float32 and not Keras's floatx: the sum over a million pixels needs it.
        super().__init__(name=name, reduction=reduction, dtype="float32")
        self.ignore_label = ignore_label
        self.class_weights = checked_class_weights(class_weights)
        self.from_logits = bool(from_logits)

    def __call__(self, y_true, y_pred, sample_weight=None):
        return self.call(y_true, y_pred, sample_weight)

    def weight(self, labels, classes):
        """What the mean over a batch divides by, on this replica: its share where batches are accumulated.

        The sum of the class weights of the labelled pixels; the replica's share of 1 for a sum.

        Args:
            labels: int32 labels `(batch, height, width)`.
            classes: number of classes.

        Returns:
            A float32 scalar: the sum of the class weights of the labelled pixels, or the replica's share of 1
            for a sum.
        """
        if self.reduction == "sum":
            return ops.convert_to_tensor(1.0 / replicas_in_sync(), "float32")
        labels = ops.cast(_without_channel(ops.convert_to_tensor(labels)), "int32")
        valid = ops.cast(self.valid(labels), "float32")
        if self.class_weights is None:
            return ops.sum(valid)
        weights = ops.convert_to_tensor(weights_of_classes(self.class_weights, classes), "float32")
        return ops.sum(valid * ops.take(weights, ops.clip(labels, 0, classes - 1)))

    def for_data(
        self,
        ignore_label: int | None,
        class_weights: Any = None,
        seed: int | None = None,
        from_logits: bool = True,
    ) -> "MapLoss":
        """Adapt the loss to a data set and a model.

        Args:
            ignore_label: the data set's ignore label, or None.
            class_weights: weights that replace the loss's own, unless None.
            seed: seed of a loss that draws random numbers and has none.
            from_logits: whether the model outputs logits.

        Returns:
            A loss of the same class.
        """
        config = {**self.get_config(), "ignore_label": ignore_label}
        if class_weights is not None:
            config["class_weights"] = class_weights
        if "seed" in config and config["seed"] is None:
            config["seed"] = seed
        if "from_logits" in config:
            config["from_logits"] = config["from_logits"] and from_logits
        return type(self).from_config(config)

    def for_validation(self) -> "MapLoss":
        """The loss that validation reports: of every labelled pixel.

        Returns:
            A `MapLoss`, usually the loss itself.
        """
        return self

    def valid(self, labels):
        """Where labels count.

        Args:
            labels: labels `(batch, height, width)`.

        Returns:
            A bool tensor of the same shape.
        """
        if self.ignore_label is None:
            return ops.ones_like(labels, "bool")
        return labels != self.ignore_label

    def pair(self, y_true, y_pred):
        """Convert labels and predictions to the shapes and types that losses compute with.

        Args:
            y_true: labels `(batch, height, width)` or `(batch, height, width, 1)`.
            y_pred: predictions `(batch, height, width, classes)`.

        Returns:
            Labels as int32 `(batch, height, width)`, and logits as float32.

        Raises:
            SettingsError: shapes that do not fit each other.
        """
        logits = ops.cast(y_pred, "float32")
        labels = ops.convert_to_tensor(y_true)
        if len(labels.shape) == len(logits.shape) and labels.shape[-1] == 1:
            labels = _without_channel(labels)
        if len(logits.shape) != 4 or len(labels.shape) != 3:
            raise SettingsError(
                "Expected labels (batch, height, width) of class ids and logits (batch, height, width, "
                f"classes); got shapes {tuple(labels.shape)} and {tuple(logits.shape)}"
            )
        for size, other in zip(labels.shape, logits.shape[:3], strict=True):
            if size is not None and other is not None and size != other:
                raise SettingsError(
                    f"Labels are {tuple(labels.shape)} and logits {tuple(logits.shape)}: the model's output "
                    "and the label map must have the same height and width"
                )
        logits = two_classes(logits, self.from_logits)
        if not self.from_logits:  # the softmax of their logarithms is the probabilities again
            logits = ops.log(ops.maximum(logits, 1e-7))
        return ops.cast(labels, "int32"), logits

    def weights_of_pixels(self, labels, classes):
        """Look up the class weight of every pixel.

        Args:
            labels: labels `(batch, height, width)`.
            classes: number of classes.

        Returns:
            float32 weights of the labels' shape; NaN for a label outside the classes, so that it is never
            dropped silently.
        """
        known = ops.logical_and(labels >= 0, labels < classes)
        if self.class_weights is None:
            return ops.where(known, 1.0, float("nan"))
        weights = ops.convert_to_tensor(weights_of_classes(self.class_weights, classes), "float32")
        return ops.where(known, ops.take(weights, ops.clip(labels, 0, classes - 1)), float("nan"))

    def get_config(self) -> dict[str, Any]:
        weights = self.class_weights
        if isinstance(weights, dict):  # JSON's keys are texts
            weights = {str(key): value for key, value in weights.items()}
        return {
            "ignore_label": self.ignore_label,
            "class_weights": weights,
            "from_logits": self.from_logits,
            "reduction": self.reduction,
            "name": self.name,
        }


def _without_channel(labels):
    return ops.squeeze(labels, -1) if len(labels.shape) == 4 else labels


def per_pixel(weights: Any) -> Any:
    """Sample weights `(batch,)` or `(batch, h, w[, 1])` as something that multiplies `(batch, h, w)`."""
    shape = weights.shape
    if len(shape) == 4:
        return ops.squeeze(weights, -1)
    if len(shape) == 2 and shape[-1] != 1:
        raise SettingsError(
            f"`sample_weight` is one number an image or a pixel; got the shape {tuple(shape)}. For weights by class "
            "give CrossEntropy(class_weights=...), not `class_weight` of `fit`, which is made for one label an image."
        )
    return weights if len(shape) == 3 else ops.reshape(weights, (-1, 1, 1))
