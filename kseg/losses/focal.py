"""`Focal`: cross-entropy that looks away from pixels that are right already."""

from typing import Any

import keras
from keras import ops

from kseg.errors import SettingsError
from kseg.losses.map_loss import MapLoss, per_pixel
from kseg.losses.modes import channels_of, checked_mode, weights_of_channels
from kseg.ops.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="kseg")
class Focal(MapLoss):
    """(1 - p) ** gamma times the cross-entropy, where p is the probability of the truth.

    The mean is over the labelled pixels of the whole batch, on all devices and in all accumulated batches; in mode
    "multilabel" over the labelled entries. With gamma 0 it is the cross-entropy, also of a single channel.

    Args:
        gamma: 2 in the paper; 0 leaves the cross-entropy.
        mode: "multiclass" (labels are class ids, softmax), "binary" (one channel, labels 0 and 1, sigmoid), or
            "multilabel" (labels `(batch, height, width, classes)` of 0 and 1, a sigmoid a channel).
        ignore_label: pixels (or entries) with this label count nowhere; None ignores nothing.
        class_weights: one weight a class, the paper's alpha; a mean is then `sum(w * loss) / sum(w)`. For "binary"
            the weights of class 0 and 1; for "multilabel" one a channel.
        from_logits: False for a model whose output is probabilities.
        name: the loss's name.

    Raises:
        SettingsError: an unknown mode, or a negative gamma.
        SettingsError: while the training step is traced, shapes that do not fit the mode. A label outside the classes
            makes the loss NaN: it is never dropped.

    Reference:
        Lin et al., "Focal loss for dense object detection", ICCV 2017, equations 4 and 5.

    Example:

    >>> loss = Focal(gamma=0.0)
    >>> round(float(loss(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 2)))), 4)
    0.6931
    """

    def __init__(
        self,
        gamma: float = 2.0,
        mode: str = "multiclass",
        ignore_label: int | None = 255,
        class_weights: Any = None,
        from_logits: bool = True,
        name: str = "focal",
    ) -> None:
        super().__init__(ignore_label, class_weights, from_logits, name=name)
        self.mode, self.gamma = checked_mode(mode), float(gamma)
        if self.gamma < 0:
            raise SettingsError(f"gamma is from 0 on; got {gamma!r}.")

    def call(self, y_true, y_pred, sample_weight=None):
        logits, truth, counted = channels_of(self, y_true, y_pred, self.mode)
        if self.mode == "multiclass":
            logarithm = ops.sum(truth * ops.log_softmax(logits, axis=-1), axis=-1, keepdims=True)
        else:  # of the probability of what is true
            logarithm = ops.log_sigmoid((2.0 * truth - 1.0) * logits)
        losses = -ops.power(ops.maximum(1.0 - ops.exp(logarithm), 1e-12), self.gamma) * logarithm
        weights = counted * self._weights(truth)
        if sample_weight is not None:
            weights = weights * per_pixel(ops.cast(sample_weight, "float32"))[..., None]
        return ops.divide_no_nan(ops.sum(losses * weights), sum_over_replicas(ops.sum(weights)))

    def _weights(self, truth: Any) -> Any:
        """The class weight of every pixel, or entry."""
        if self.class_weights is None:
            return 1.0
        if self.mode == "binary":
            weights = weights_of_channels(self.class_weights, 2)
            return truth * weights[1] + (1.0 - truth) * weights[0]
        weights = weights_of_channels(self.class_weights, truth.shape[-1])
        if self.mode == "multilabel":
            return ops.ones_like(truth) * weights
        return ops.sum(truth * weights, axis=-1, keepdims=True)

    def weight(self, labels, classes):
        channels = 1 if self.mode == "binary" else classes
        logits = ops.zeros((*ops.shape(labels)[:3], channels), "float32")
        _, truth, counted = channels_of(self, labels, logits, self.mode)
        return ops.sum(counted * self._weights(truth))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["reduction"]
        return {**config, "gamma": self.gamma, "mode": self.mode}
