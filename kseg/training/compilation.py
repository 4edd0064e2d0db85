"""What a recipe means for a model and its data: frozen parts, class weights, loss and optimizer."""

import keras

from kseg.data import Dataset, class_histogram, median_frequency_weights
from kseg.data.masks import kind_of
from kseg.errors import SettingsError
from kseg.losses import CrossEntropy, Focal, MapLoss, WeightedSum
from kseg.losses.class_weights import checked_class_weights, weights_of_classes
from kseg.training.recipes.recipe import Recipe


def freeze(model: keras.Model, recipe: Recipe) -> None:
    """Freeze the parts of a model that a recipe leaves as they are."""
    if recipe.freeze_backbone:
        backbone_of(model).trainable = False
    if recipe.frozen_stages:
        backbone = backbone_of(model)
        if recipe.frozen_stages not in backbone.stages:
            raise SettingsError(
                f"frozen_stages is {recipe.frozen_stages!r}, but the backbone's stages are "
                f"{', '.join(backbone.stages)}."
            )
        # All layers that the stage's features come from.
        for layer in keras.Model(backbone.input, backbone.stages[recipe.frozen_stages]).layers:
            layer.trainable = False
    if recipe.freeze_normalization == "all":
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def backbone_of(model: keras.Model) -> keras.Model:
    """The model's backbone; SettingsError if it has none."""
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        raise SettingsError(
            "freeze_backbone, frozen_stages, head_multiplier and remat need a model with a `backbone`, as kseg's "
            "own have."
        )
    return backbone


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
    """The recipe's loss for this data: with its ignored label, the class weights and the recipe's seed."""
    loss = overlapping(recipe.loss) if kind_of(train).multilabel else recipe.loss
    return loss.for_data(train.ignore_label, weights, recipe.seed, from_logits)


def overlapping(loss: MapLoss) -> MapLoss:
    """A loss for classes that overlap: its mode "multilabel", and of cross-entropy that of each class.

    Raises:
        SettingsError: a loss that has no such mode.
    """
    if isinstance(loss, WeightedSum):
        return WeightedSum([overlapping(one) for one in loss.losses], loss.weights, loss.name)
    config = loss.get_config()
    if type(loss) is CrossEntropy and config == {**CrossEntropy().get_config(), "class_weights": loss.class_weights}:
        return Focal(gamma=0.0, mode="multilabel", class_weights=loss.class_weights)
    if "mode" in config:
        return type(loss).from_config({**config, "mode": "multilabel"})
    if type(loss).__module__.startswith("kseg."):
        raise SettingsError(
            f"The data's classes overlap, and the loss {loss.name} takes one class a pixel: give another, as "
            'kseg.losses.Dice(mode="multilabel") or Focal(mode="multilabel")'
        )
    return loss


def optimizer_of(
    model: keras.Model, layers: list[keras.layers.Layer], recipe: Recipe, steps_per_epoch: int
) -> keras.optimizers.Optimizer:
    """The recipe's optimizer for these layers of a model."""
    rate = recipe.schedule.over(recipe.epochs * steps_per_epoch)
    multiplier, head = recipe.optimizer.head_multiplier, {}
    if multiplier != 1:
        backbone = {id(variable) for variable in backbone_of(model).variables}
        for layer in layers:
            if any(id(variable) not in backbone for variable in layer.trainable_variables):
                head[layer.name] = multiplier
    return recipe.optimizer.build(rate, head)
