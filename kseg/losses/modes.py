"""What labels and logits mean: one class a pixel, one channel for a single class, or several classes a pixel."""

from typing import Any, NamedTuple

from keras import ops

from kseg.errors import SettingsError
from kseg.losses.class_weights import weights_of_classes

MODES = ("multiclass", "binary", "multilabel")


class Channels(NamedTuple):
    """Labels and logits brought to one form, float32 `(batch, height, width, channels)` each.

    Attributes:
        logits: one channel a class.
        truth: 1 where the class is there, 0 elsewhere.
        counted: 1 where there is a label, 0 elsewhere, NaN for a label outside the classes; the last axis may be 1.
    """

    logits: Any
    truth: Any
    counted: Any


def checked_mode(mode: str) -> str:
    """A mode; SettingsError for another word."""
    if mode not in MODES:
        raise SettingsError(f"`mode` is one of {', '.join(MODES)}; got {mode!r}.")
    return mode


def channels_of(loss: Any, y_true: Any, y_pred: Any, mode: str) -> Channels:
    """Labels and logits of a `MapLoss` in a mode.

    Args:
        loss: its ignored label and `from_logits` are read.
        y_true: class ids `(batch, height, width[, 1])`; for "multilabel" 0, 1 or the ignored label,
            `(batch, height, width, classes)`.
        y_pred: `(batch, height, width, classes)`; for "binary" one channel, the logit of class 1.
        mode: "multiclass" (softmax), "binary" or "multilabel" (a sigmoid a channel).

    Raises:
        SettingsError: shapes that do not fit the mode.
    """
    if mode == "multiclass":
        labels, logits = loss.pair(y_true, y_pred)
        classes = logits.shape[-1]
        valid = loss.valid(labels)
        known = ops.logical_and(
            valid, labels < classes
        )  # torch's one_hot raises at others, which count as NaN here
        truth = ops.one_hot(ops.where(known, labels, -1), classes, dtype="float32")
        return Channels(logits, truth, _counted(valid, labels, classes)[..., None])
    logits, labels = ops.cast(y_pred, "float32"), ops.convert_to_tensor(y_true)
    if mode == "binary" and len(labels.shape) == 3:
        labels = labels[..., None]
    if len(logits.shape) != 4 or len(labels.shape) != 4 or labels.shape[-1] != logits.shape[-1]:
        raise SettingsError(
            f'Expected labels and logits (batch, height, width, classes) for mode="{mode}"; got shapes '
            f"{tuple(labels.shape)} and {tuple(logits.shape)}"
        )
    if mode == "binary" and logits.shape[-1] != 1:
        raise SettingsError(f'Expected one channel for mode="binary"; got {logits.shape[-1]}')
    if not loss.from_logits:
        inside = ops.clip(logits, 1e-7, 1 - 1e-7)
        logits = ops.log(inside) - ops.log(1 - inside)
    labels = ops.cast(labels, "int32")
    valid = loss.valid(labels)
    return Channels(logits, ops.cast(ops.where(valid, labels, 0), "float32"), _counted(valid, labels, 2))


def weights_of_channels(class_weights: Any, channels: int) -> Any:
    """The class weights as float32 `(channels,)`; ones without any."""
    if class_weights is None:
        return ops.ones((channels,), "float32")
    return ops.convert_to_tensor(weights_of_classes(class_weights, channels), "float32")


def _counted(valid: Any, labels: Any, classes: int) -> Any:
    known = ops.logical_and(labels >= 0, labels < classes)
    return ops.where(valid, ops.where(known, 1.0, float("nan")), 0.0)
