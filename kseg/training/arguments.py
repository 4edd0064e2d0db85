"""What `fit` is given where Keras takes one or several, a name or an object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kseg.errors import SettingsError

# Keras picks these by the shapes of labels and outputs; here labels are always class ids.
_OF_CLASS_IDS = {"accuracy": "sparse_categorical_accuracy", "acc": "sparse_categorical_accuracy"}


def callbacks_of(callbacks: Any) -> list[keras.callbacks.Callback]:
    """Keras callbacks as a list: several, one or None; SettingsError for anything else."""
    found = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or ())
    for callback in found:
        if not isinstance(callback, keras.callbacks.Callback):
            raise SettingsError(f"`callbacks` are Keras callbacks; got {callback!r}.")
    return found


def metrics_of(metrics: Any) -> list[keras.metrics.Metric]:
    """Keras metrics as a list: several, one or None, objects or names; SettingsError for anything else."""
    found = [metrics] if isinstance(metrics, keras.metrics.Metric | str) else list(metrics or ())
    made = []
    for metric in found:
        name = _OF_CLASS_IDS.get(metric, metric) if isinstance(metric, str) else metric
        try:
            one = keras.metrics.get(name)
        except ValueError as error:
            raise SettingsError(
                f"`metrics` are Keras metrics or their names; got {metric!r} ({error})."
            ) from None
        if isinstance(one, type):
            one = one()
        if not isinstance(one, keras.metrics.Metric) and callable(one):
            one = keras.metrics.MeanMetricWrapper(one, name=getattr(one, "__name__", None))
        if not isinstance(one, keras.metrics.Metric):
            raise SettingsError(f"`metrics` are Keras metrics or their names; got {metric!r}.")
        made.append(one)
    return made


def optimizer_of_user(optimizer: Any) -> keras.optimizers.Optimizer | None:
    """A Keras optimizer, or the one of that name; SettingsError for one that another training has used."""
    if optimizer is None:
        return None
    try:
        made = keras.optimizers.get(optimizer)
    except ValueError as error:
        raise SettingsError(f"`optimizer` is a Keras optimizer or its name; got {optimizer!r} ({error}).") from None
    if made.built:
        raise SettingsError(
            f"This {type(made).__name__} was used before, and has the state of those weights: give every training an "
            "optimizer of its own, such as type(optimizer).from_config(optimizer.get_config())."
        )
    return made


def built(model: keras.Model, size: Sequence[int], channels: int) -> keras.Model:
    """A subclassed model makes its weights when it is first called: here, on an image of zeros."""
    if not model.built or not model.weights:
        model(keras.ops.zeros((1, *size, channels)))
    return model
