"""Loss, metric, optimizer and schedule of a recipe."""

from dataclasses import dataclass
from typing import Any

import keras

from kseg.data import Dataset, class_histogram, median_frequency_weights
from kseg.errors import SettingsError
from kseg.losses import CrossEntropy
from kseg.losses.class_weights import checked_class_weights, weights_of_classes
from kseg.metrics import MeanIoU
from kseg.training.optimization.optimizers import SGD, AdamW
from kseg.training.optimization.schedules import Poly, Step
from kseg.training.recipes.recipe import Recipe
from kseg.training.twin import Twin, training_twin


@dataclass(frozen=True)
class Compiled:
    """What `compiled` gives: the twin that is trained, with an optimizer, and its loss and metric."""

    twin: Twin
    loss: CrossEntropy
    metric: MeanIoU


def compiled(
    model: keras.Model,
    recipe: Recipe,
    train: Dataset,
    steps_per_epoch: int,
    weights: tuple[float, ...] | None = None,
) -> Compiled:
    """Make a model ready to be trained by a recipe, with these class weights; call it in the strategy's scope."""
    twin = training_twin(model, recipe)
    loss, metric = _loss(recipe, train, weights), MeanIoU(train.num_classes, train.ignore_label)
    layers = [*model.layers, *twin.own_layers]
    rate = _optimizer(model, layers, recipe, steps_per_epoch)
    # Not by XLA, which compiles anew for every size of whole pictures and knows no kernel for some operations.
    twin.model.compile(rate, loss, metrics=[metric], jit_compile=False)
    return Compiled(twin, loss, metric)


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


def _loss(recipe: Recipe, train: Dataset, weights: tuple[float, ...] | None) -> CrossEntropy:
    return CrossEntropy(
        ignore_label=train.ignore_label,
        class_weights=weights,
        ohem_fraction=recipe.ohem_fraction,
        ohem_threshold=recipe.ohem_threshold,
        ohem_min_kept=recipe.ohem_min_kept,
        sampling=recipe.sampling,
        reduction=recipe.reduction,
        seed=recipe.seed,
    )


def _optimizer(
    model: keras.Model, layers: list[keras.layers.Layer], recipe: Recipe, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
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
