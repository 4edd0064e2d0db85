"""`Lovasz`: the convex surrogate of the Jaccard loss."""

from typing import Any

import keras
from keras import ops

from kseg.losses.map_loss import MapLoss
from kseg.losses.modes import channels_of, checked_mode, weights_of_channels
from kseg.ops.replicas import gather_over_replicas, replicas_in_sync


@keras.saving.register_keras_serializable(package="kseg")
class Lovasz(MapLoss):
    """The Lovasz extension of 1 - IoU: Lovasz-softmax for several classes, the Lovasz hinge for one channel.

    The mean is over the classes that the labels of the batch have. The pixels of the whole batch, on all devices, are
    sorted by their error together; accumulated batches are averaged, as the loss of their union is not a sum.

    Args:
        mode: "multiclass" (labels are class ids, softmax), "binary" (one channel, labels 0 and 1, hinge), or
            "multilabel" (labels `(batch, height, width, classes)` of 0 and 1, a hinge a channel).
        ignore_label: pixels (or entries) with this label count nowhere; None ignores nothing.
        class_weights: weights of the mean over the classes; see `kseg.losses.class_weights`.
        from_logits: False for a model whose output is probabilities.
        name: the loss's name.

    Raises:
        SettingsError: an unknown mode.
        ValueError: while the training step is traced, shapes that do not fit the mode. A label outside the classes
            makes the loss NaN: it is never dropped.

    Reference:
        Berman, Rannen Triki and Blaschko, "The Lovasz-softmax loss", CVPR 2018, algorithm 1 and equations 9 to 11.

    Example:

    >>> round(float(Lovasz()(np.zeros((1, 2, 2)), np.zeros((1, 2, 2, 2)))), 4)
    0.5
    """

    def __init__(
        self,
        mode: str = "multiclass",
        ignore_label: int | None = 255,
        class_weights: Any = None,
        from_logits: bool = True,
        name: str = "lovasz",
    ) -> None:
        super().__init__(ignore_label, class_weights, from_logits, name=name)
        self.mode = checked_mode(mode)

    def call(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError("The Lovasz loss sorts pixels by their errors; it takes no `sample_weight`")
        logits, truth, counted = channels_of(self, y_true, y_pred, self.mode)
        counted = ops.broadcast_to(counted, ops.shape(truth))
        there = counted > 0
        if self.mode == "multiclass":
            errors = ops.abs(truth - ops.softmax(logits, axis=-1))
        else:
            errors = ops.relu(1.0 - (2.0 * truth - 1.0) * logits)
        # What is not counted has no error, so it comes last and adds nothing.
        errors, truth, unknown = (
            gather_over_replicas(part)
            for part in (ops.where(there, errors, 0.0), ops.where(there, truth, 0.0), 0.0 * counted)
        )
        channels = logits.shape[-1]
        losses = [
            _of_class(ops.reshape(errors[..., k], (-1,)), ops.reshape(truth[..., k], (-1,)))
            for k in range(channels)
        ]
        present = ops.cast(ops.sum(truth, axis=(0, 1, 2)) > 0, "float32")
        if self.mode != "multiclass":  # a hinge has something to say of an absent class too
            present = ops.ones_like(present)
        weights = present * weights_of_channels(self.class_weights, channels)
        mean = ops.divide_no_nan(ops.sum(ops.stack(losses) * weights), ops.sum(weights))
        return (mean + ops.sum(unknown)) / replicas_in_sync()  # NaN for a label outside the classes

    def weight(self, labels, classes):
        return ops.convert_to_tensor(1.0 / replicas_in_sync(), "float32")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["reduction"]
        return {**config, "mode": self.mode}


def _of_class(errors: Any, truth: Any) -> Any:
    """The extension's value: errors, largest first, times what each adds to the Jaccard loss."""
    order = ops.argsort(ops.stop_gradient(-errors))
    errors, truth = ops.take(errors, order), ops.take(truth, order)
    total = ops.sum(truth)
    intersection = total - ops.cumsum(truth)
    union = total + ops.cumsum(1.0 - truth)
    jaccard = 1.0 - ops.divide_no_nan(intersection, union)
    steps = jaccard - ops.concatenate([ops.zeros((1,), "float32"), jaccard[:-1]])
    return ops.sum(errors * ops.stop_gradient(steps))
