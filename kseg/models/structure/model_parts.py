"""Parts of a network by their names: "backbone", "head", a stage, a layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import keras

from kseg import checks
from kseg.errors import SettingsError

KINDS = ("backbone", "head", "batch_normalization")


def layers_of_part(
    model: keras.Model, part: str, more: Iterable[keras.layers.Layer] = ()
) -> list[keras.layers.Layer]:
    """The layers of a part of a network, those inside of other layers too.

    Args:
        model: a network with a `backbone`, as kseg's have; of another model, a part is "batch_normalization" or a
            layer's name.
        part: "backbone"; "head", which is everything else; "batch_normalization"; a stage of the backbone such as
            "stage3", whose layers are those that lead to it from the stage before; or the name of a layer.
        more: layers that are trained with the model's, and belong to the head.

    Raises:
        SettingsError: no part of this name; the message lists them.
    """
    backbone = getattr(model, "backbone", None)
    layers = [layer for layer in [*model._flatten_layers(include_self=False), *more] if layer is not backbone]
    if part == "batch_normalization":
        return [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    stages = {} if backbone is None else backbone.stages
    if part in stages and backbone is not None:
        earlier = list(stages.values())[: list(stages).index(part)]
        known = {id(layer) for layer in keras.Model(backbone.input, earlier).layers} if earlier else set()
        here = keras.Model(backbone.input, stages[part]).layers
        return [layer for layer in here if id(layer) not in known]
    if part in ("backbone", "head") and backbone is not None:
        own = {id(layer) for layer in backbone._flatten_layers()}
        return [layer for layer in layers if (id(layer) in own) == (part == "backbone")]
    named = [layer for layer in layers if layer.name == part]
    if not named:
        kinds = KINDS if backbone is not None else KINDS[2:]
        raise SettingsError(
            f"{model.name} has no part {part!r}: its parts are {', '.join([*kinds, *stages])}, and its layers by name."
        )
    return named


def set_trainable(model: keras.Model, parts: Sequence[str], trainable: bool) -> None:
    """Freeze parts of a network of kseg, or train them again; without any, all of it."""
    found = [layer for part in parts for layer in layers_of_part(model, part)]
    if not parts:
        model.trainable = trainable
    if trainable:  # of a frozen model Keras trains no layer
        model._trainable = model.backbone._trainable = True
    for layer in found:
        layer.trainable = trainable
    if "backbone" in parts:
        model.backbone.trainable = trainable
    model.train_function = None  # which knows the variables of before


def frozen_layers(model: keras.Model) -> list[str]:
    """The names of a model's layers with weights that are not trained."""
    return [layer.name for layer in model.layers if not layer.trainable and layer.weights]


def layer_multipliers(
    model: keras.Model, learning_rates: Mapping[str, float], more: Iterable[keras.layers.Layer] = ()
) -> dict[str, float]:
    """Factors on the learning rate by part of a network as factors by layer, which kseg's optimizers take.

    Args:
        model: the network.
        learning_rates: part (see `layers_of_part`) to factor, such as `{"backbone": 0.1}`. Where parts have a layer in
            common, the last counts.
        more: as in `layers_of_part`.

    Returns:
        Layer name to factor, of those layers that have weights to train.

    Raises:
        SettingsError: no such part, or a factor that is not a number from 0 on.
    """
    if not isinstance(learning_rates, Mapping):
        raise checks.wrong(
            "learning_rates", 'a dict from part to factor, such as {"backbone": 0.1}', learning_rates
        )
    found = {}
    for part, factor in learning_rates.items():
        factor = checks.number(factor, f"learning_rates[{part!r}]", least=0)
        for layer in layers_of_part(model, part, more):
            if layer._trainable_variables and layer.trainable:
                found[layer.name] = factor
    return found
