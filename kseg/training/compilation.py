"""What a recipe means for a model and its data: frozen parts, class weights, loss, optimizer and schedule."""

from typing import Any

import keras

from kseg.data import Dataset, class_histogram, median_frequency_weights
from kseg.errors import SettingsError
from kseg.losses import CrossEntropy, MapLoss
from kseg.losses.class_weights import checked_class_weights, weights_of_classes
from kseg.training.optimization.optimizers import SGD, AdamW
from kseg.training.optimization.schedules import Poly, Step
from kseg.training.recipes.recipe import Recipe


def freeze(model: keras.Model, recipe: Recipe) -> None:
    """Freeze the parts of a model that a recipe leaves as they are."""
    if recipe.freeze_backbone:
        backbone_of(model).trainable = False
    if recipe.frozen_stages:
        _freeze_up_to(backbone_of(model), recipe.frozen_stages)
    if recipe.freeze_normalization == "all":
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def backbone_of(model: keras.Model) -> keras.Model:
    """The model's backbone; SettingsError if it has none."""
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        raise SettingsError(
            "freeze_backbone and head_multiplier need a model with a `backbone`, as kseg's own have."
        )
    return backbone


def _freeze_up_to(backbone: keras.Model, stage: str) -> None:
    """Freeze all layers that a stage's features come from."""
    if stage not in backbone.stages:
        raise SettingsError(
            f"frozen_stages is {stage!r}, but the backbone's stages are {', '.join(backbone.stages)}."
        )
    for layer in keras.Model(backbone.input, backbone.stages[stage]).layers:
        layer.trainable = False


def class_weights(recipe: Recipe, train: Dataset) -> tuple[float, ...] | None:
    """The recipe's class weights as one number a class; SettingsError if they do not fit the data's classes."""
    weights = recipe.class_weights
    if weights == "median_frequency":
        return tuple(median_frequency_weights(class_histogram(train)))
    if isinstance(weights, dict):
        ids = {name: str(number) for number, name in enumerate(train.classes)}
        weights = checked_class_weights({ids.get(key, key): value for key, value in weights.items()})
    return None if weights is None else weights_of_classes(weights, train.num_classes)


def loss_of(
    recipe: Recipe, train: Dataset, weights: tuple[float, ...] | None, from_logits: bool = True
) -> MapLoss:
    """The recipe's loss for this data: with its ignored label and its class weights."""
    return CrossEntropy(
        ignore_label=train.ignore_label,
        class_weights=weights,
        ohem_fraction=recipe.ohem_fraction,
        ohem_threshold=recipe.ohem_threshold,
        ohem_min_kept=recipe.ohem_min_kept,
        sampling=recipe.sampling,
        reduction=recipe.reduction,
        seed=recipe.seed,
        from_logits=from_logits,
    )


def optimizer_of(
    model: keras.Model, layers: list[keras.layers.Layer], recipe: Recipe, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """The recipe's optimizer for these layers of a model."""
    rates = {
        "layer_multipliers": _head(model, layers, recipe.head_multiplier),
        "bias_multiplier": recipe.bias_multiplier,
    }
    rate = schedule(recipe, steps_per_epoch)
    if recipe.optimizer == "sgd":
        return SGD(rate, recipe.momentum, l2=recipe.weight_decay, **rates)
    return AdamW(rate, weight_decay=recipe.weight_decay, **rates)


def _head(model: keras.Model, layers: list[keras.layers.Layer], multiplier: float) -> dict[str, float]:
    """Those of `layers` that are not the backbone's and have something to train, each with `multiplier`."""
    if multiplier == 1:
        return {}
    backbone = {id(variable) for variable in backbone_of(model).variables}
    return {
        layer.name: multiplier
        for layer in layers
        if any(id(variable) not in backbone for variable in layer.trainable_variables)
    }


def schedule(recipe: Recipe, steps_per_epoch: int) -> Any:
    """The learning rate as a function of the optimizer's step, or a number."""
    total = recipe.epochs * steps_per_epoch
    warmup = min(recipe.warmup_steps, total // 5)  # a few pictures make a run shorter than the warm-up
    if recipe.schedule == "poly":
        return Poly(recipe.learning_rate, total, recipe.power, warmup)
    if recipe.schedule == "step":
        return Step(recipe.learning_rate, recipe.step_every, warmup_steps=warmup)
    if warmup:
        return Poly(recipe.learning_rate, total, 0.0, warmup)
    return recipe.learning_rate
