"""Whether a recipe, a model, data sets and devices go together, before a training begins."""

import keras

from kseg.data import Dataset
from kseg.errors import SettingsError
from kseg.training.callbacks import Every
from kseg.training.compilation import backbone_of
from kseg.training.distribution.strategy import check_batch_size, place
from kseg.training.recipes.recipe import Recipe


def check(
    model: keras.Model, recipe: Recipe, train: Dataset, val: Dataset | None, every: Every | None
) -> None:
    """SettingsError where recipe, model, data and devices do not go together."""
    if keras.backend.backend() != "tensorflow":
        raise SettingsError(
            f"kseg.training.fit trains on TensorFlow, and Keras's backend is {keras.backend.backend()}; there, compile "
            "the model and give kseg.data.pipeline(...) to Keras's own fit."
        )
    _check_data(model.output_shape[-1], recipe, train, val)
    wanted, found = recipe.mixed_precision or "float32", model.dtype_policy.name
    if wanted != found:
        raise SettingsError(
            f"The recipe asks for {wanted} and the model was built in {found}; call "
            f'keras.config.set_dtype_policy("{wanted}") before building it.'
        )
    if recipe.freeze_backbone or recipe.frozen_stages or recipe.head_multiplier != 1:
        backbone_of(model)
    _check_distribution(batch_size(recipe), every)


def _check_data(classes: int, recipe: Recipe, train: Dataset, val: Dataset | None) -> None:
    if classes != train.num_classes:
        raise SettingsError(
            f"The model has {classes} classes and {train.name} has {train.num_classes}; build it with "
            f"num_classes={train.num_classes}."
        )
    if val is not None and (val.classes, val.ignore_label) != (train.classes, train.ignore_label):
        raise SettingsError(
            "The training and validation data have different classes or another ignored label."
        )
    if isinstance(recipe.class_weights, tuple) and len(recipe.class_weights) != classes:
        raise SettingsError(
            f"The recipe gives {len(recipe.class_weights)} class weights and {train.name} has {classes} classes "
            f"({', '.join(train.classes[:12])}{', ...' if classes > 12 else ''})."
        )
    if not len(train):
        raise SettingsError(f"{train.name}: the {train.split} split is empty.")
    if recipe.size is None and batch_size(recipe) > 1:
        raise SettingsError(
            f"Whole pictures (size null) differ in size, so a batch holds one; the recipe says {batch_size(recipe)}."
        )
    if recipe.ema is not None and val is None:
        raise SettingsError("The averaged weights (ema) go into best.keras, which needs validation data.")


def _check_distribution(pictures: int, every: Every | None) -> None:
    check_batch_size(pictures)
    if every is not None and every.minutes is not None and place()[1] > 1:
        raise SettingsError(
            "Workers on several machines write checkpoints together, so --checkpoint-every is a number of steps."
        )


def batch_size(recipe: Recipe) -> int:
    """Pictures in a batch."""
    # The FCN paper raises the number of pictures by 1/p where it keeps a share p of the loss.
    return round(recipe.batch_size / (recipe.sampling or 1))
