"""`Tversky`: overlap of regions, with false positives and false negatives weighed apart."""

from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.losses.map_loss import MapLoss, per_pixel
from kseg.losses.modes import channels_of, checked_mode, weights_of_channels
from kseg.ops.replicas import replicas_in_sync, sum_over_replicas


@keras.saving.register_keras_serializable(package="kseg")
class Tversky(MapLoss):
    """1 - TP / (TP + alpha FP + beta FN) of soft regions, the mean over the classes that the labels have.

    TP, FP and FN are sums of probabilities over all labelled pixels of the whole batch, on all devices. With alpha
    and beta of 0.5 this is the Dice loss, with 1 the Jaccard loss. Accumulated batches are scored one by one and
    averaged.

    Args:
        alpha: weight of false positives.
        beta: weight of false negatives; above alpha, rare classes are found more often.
        gamma: exponent of each class's loss (the focal Tversky loss has 0.75).
        smooth: added to numerator and denominator.
        mode: "multiclass" (labels are class ids, softmax), "binary" (one channel, labels 0 and 1, sigmoid), or
            "multilabel" (labels `(batch, height, width, classes)` of 0 and 1, a sigmoid a channel).
        ignore_label: pixels (or, for multilabel, entries) with this label count nowhere; None ignores nothing.
        class_weights: weights of the mean over the classes; see `kseg.losses.class_weights`.
        from_logits: False for a model whose output is probabilities.
        name: the loss's name.

    Raises:
        SettingsError: an unknown mode, or a negative weight.
        ValueError: while the training step is traced, shapes that do not fit the mode. A label outside the classes
            makes the loss NaN: it is never dropped.

    Reference:
        Salehi, Erdogmus and Gholipour, "Tversky loss function for image segmentation using 3D fully convolutional
        deep networks", 2017, equations 3 and 4 (alpha weighs false positives, beta false negatives).

    Example:

    >>> loss = Tversky(alpha=0.3, beta=0.7)
    >>> float(loss(np.array([[[0, 255, 1]]]), np.array([[[[9.0, -9.0], [0.0, 0.0], [-9.0, 9.0]]]]))) < 1e-3
    True
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        gamma: float = 1.0,
        smooth: float = 1e-6,
        mode: str = "multiclass",
        ignore_label: int | None = 255,
        class_weights: Any = None,
        from_logits: bool = True,
        name: str = "tversky",
    ) -> None:
        super().__init__(ignore_label, class_weights, from_logits, name=name)
        self.mode = checked_mode(mode)
        self.alpha, self.beta, self.gamma, self.smooth = map(float, (alpha, beta, gamma, smooth))
        if min(self.alpha, self.beta, self.smooth) < 0 or self.gamma <= 0:
            raise SettingsError(
                "alpha, beta and smooth are from 0 on and gamma is above 0; got "
                f"{alpha!r}, {beta!r}, {smooth!r} and {gamma!r}."
            )

    def call(self, y_true, y_pred, sample_weight=None):
        logits, truth, counted = channels_of(self, y_true, y_pred, self.mode)
        probabilities = ops.softmax(logits, axis=-1) if self.mode == "multiclass" else ops.sigmoid(logits)
        if sample_weight is not None:
            counted = counted * per_pixel(ops.cast(sample_weight, "float32"))[..., None]
        hit = self._sum(probabilities * truth * counted)
        false_positive = self._sum(probabilities * (1.0 - truth) * counted)
        false_negative = self._sum((1.0 - probabilities) * truth * counted)
        total = hit + self.alpha * false_positive + self.beta * false_negative
        losses = 1.0 - ops.divide_no_nan(hit + self.smooth, total + self.smooth)
        if self.gamma != 1.0:
            losses = ops.power(ops.maximum(losses, 1e-7), self.gamma)
        present = ops.cast(self._sum(truth * ops.where(counted > 0, 1.0, 0.0)) > 0, "float32")
        weights = present * weights_of_channels(self.class_weights, logits.shape[-1])
        # NaN times 0 is NaN: a label outside the classes is seen even where no class is present.
        mean = ops.divide_no_nan(ops.sum(losses * weights), ops.sum(weights))
        return mean / replicas_in_sync()

    def weight(self, labels, classes):
        return ops.convert_to_tensor(1.0 / replicas_in_sync(), "float32")

    def _sum(self, values):
        for axis in (2, 1, 0):  # at once, float32 would lose four digits over a million pixels
            values = ops.sum(values, axis=axis)
        return sum_over_replicas(values)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["reduction"]
        return {
            **config,
            "alpha": self.alpha,
            "beta": self.beta,
            "gamma": self.gamma,
            "smooth": self.smooth,
            "mode": self.mode,
        }


class SymmetricTversky(Tversky):
    """`Tversky` with one fixed factor on false positives and false negatives: what `Dice` and `Jaccard` share."""

    factor: float
    usual_name: str

    def __init__(
        self,
        smooth: float = 1e-6,
        mode: str = "multiclass",
        ignore_label: int | None = 255,
        class_weights: Any = None,
        from_logits: bool = True,
        name: str | None = None,
    ) -> None:
        settings = (smooth, mode, ignore_label, class_weights, from_logits)
        super().__init__(self.factor, self.factor, 1.0, *settings, name=name or self.usual_name)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in ("alpha", "beta", "gamma")}
