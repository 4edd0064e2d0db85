"""`with_learning_rates`: an optimizer with another learning rate for some layers."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from kseg.errors import SettingsError
from kseg.optimizers.optimizers import SGD, AdamW

# Keras's optimizers, and kseg's that take the same steps.
_ALIKE = {keras.optimizers.AdamW: AdamW, keras.optimizers.Adam: AdamW, keras.optimizers.SGD: SGD}


def with_learning_rates(
    optimizer: str | keras.optimizers.Optimizer, layer_multipliers: Mapping[str, float]
) -> keras.optimizers.Optimizer:
    """An optimizer like a given one, with a factor on the learning rate of some layers.

    Args:
        optimizer: Keras's `Adam`, `AdamW` or `SGD`, kseg's `AdamW` or `SGD`, or "adam", "adamw" or "sgd"; one that was
            not used yet. It is not changed.
        layer_multipliers: layer name to factor.

    Returns:
        kseg's `AdamW` or `SGD` with the optimizer's settings. A weight decay of Keras's `AdamW` is then left out for
        biases and for the scale and offset of batch normalisation.

    Raises:
        SettingsError: another optimizer, one that was used, or a setting that kseg's optimizer does without.

    Example:

    >>> with_learning_rates(keras.optimizers.Adam(1e-4), {"score": 10.0}).layer_multipliers
    {'score': 10.0}
    """
    optimizer = keras.optimizers.get(optimizer)
    if optimizer.built:
        raise SettingsError(
            "Learning rates by part need an optimizer that was not used yet: its state belongs to one learning rate."
        )
    config = optimizer.get_config()
    if isinstance(optimizer, SGD | AdamW):
        config["layer_multipliers"] = {**optimizer.layer_multipliers, **layer_multipliers}
        return type(optimizer).from_config(config)
    # Keras's own, which under torch are subclasses of these; one of somebody else's may take other steps.
    own = type(optimizer).__module__.startswith("keras.")
    kind = next((kind for kind in _ALIKE if own and isinstance(optimizer, kind)), None)
    if kind is None:
        raise SettingsError(
            f"Learning rates by part work with Adam, AdamW and SGD; got {type(optimizer).__name__}. Give "
            "kseg.optimizers.AdamW or SGD, or leave the learning rates by part out."
        )
    if kind is not keras.optimizers.AdamW and config["weight_decay"]:
        raise SettingsError(
            f"`weight_decay` of Keras's {type(optimizer).__name__} applies to all weights alike; for learning rates by "
            "part give kseg.optimizers.AdamW(weight_decay=...) or kseg.optimizers.SGD(l2=...)."
        )
    if kind is keras.optimizers.SGD:
        del config["weight_decay"]
    else:
        config["weight_decay"] = config["weight_decay"] or 0.0
    return _ALIKE[kind].from_config({**config, "layer_multipliers": dict(layer_multipliers)})
