"""Whether a recipe, a model, data sets and devices go together, before a training begins."""

from typing import Any

import keras

from kseg.data import Dataset, as_dataset
from kseg.data.masks import IGNORE_LABEL
from kseg.errors import DataError, SettingsError
from kseg.inference.checks import check_images
from kseg.inference.model_info import inspect_model
from kseg.io.bands import BYTES
from kseg.models import check_reloads
from kseg.training.callbacks import Every
from kseg.training.compilation import backbone_of, class_weights
from kseg.training.distribution.strategy import check_batch_size, place
from kseg.training.normalization import single_value_layers
from kseg.training.recipes.recipe import Recipe
from kseg.training.rematerialization import check_stages


def as_datasets(model: keras.Model, train: Any, val: Any) -> tuple[Dataset, Dataset | None]:
    """Training and validation data as data sets; of the model's classes where they do not say their own.

    SettingsError under another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise SettingsError(
            f"kseg.training.fit trains on TensorFlow, and Keras's backend is {keras.backend.backend()}; there, compile "
            "the model and give a kseg.data.Loader to Keras's own fit."
        )
    info = inspect_model(model)
    classes = getattr(model, "classes", None) or info.num_classes
    kind = {"channels": info.channels, "value_range": info.value_range, "multilabel": info.multilabel}
    palette = getattr(model, "palette", None)
    train = as_dataset(train, classes, palette=palette, name="training data", split="train", **kind)
    if val is not None:
        ignored = None if train.ignore_label == IGNORE_LABEL else train.ignore_label
        settings = {"ignore_label": ignored, "palette": train.palette, **kind}
        val = as_dataset(val, train.classes, name="validation data", split="val", **settings)
    return train, val


def check(
    model: keras.Model, recipe: Recipe, train: Dataset, val: Dataset | None, every: Every | None
) -> None:
    """SettingsError where recipe, model, data and devices do not go together.

    ModelError where the trained model could not be loaded again.
    """
    check_reloads(model)
    info = inspect_model(model)
    for name, usual in (("multilabel", False), ("value_range", BYTES)):
        if getattr(info, name) != usual and not hasattr(type(model), name):
            raise SettingsError(
                f"The model {model.name!r} is a plain Keras model, whose file does not keep `{name}`: make it a "
                f"kseg.models.Segmenter{', over a kseg.backbones.Backbone with this range' * (name == 'value_range')}."
            )
    for dataset in (train, val):
        if dataset is not None:
            check_images(info, dataset)
    classes = info.num_classes
    if classes != train.num_classes:
        raise SettingsError(
            f"The model has {classes} classes and {train.name} has {train.num_classes}; build it with "
            f"num_classes={train.num_classes}."
        )
    if val is not None and (val.classes, val.ignore_label) != (train.classes, train.ignore_label):
        raise SettingsError(
            "The training and validation data have different classes or another ignored label."
        )
    if isinstance(recipe.class_weights, dict):
        class_weights(recipe, train)
    if isinstance(recipe.class_weights, tuple) and len(recipe.class_weights) != classes:
        raise SettingsError(
            f"The recipe gives {len(recipe.class_weights)} class weights and {train.name} has {classes} classes "
            f"({', '.join(train.classes[:12])}{', ...' if classes > 12 else ''})."
        )
    for dataset in (train, val):
        if dataset is not None and not len(dataset):
            raise SettingsError(f"{dataset.name}: the {dataset.split} split is empty.")
    if recipe.size is None and batch_size(recipe) > 1:
        raise SettingsError(
            f"Whole images (size null) differ in size, so a batch holds one; the recipe says {batch_size(recipe)}."
        )
    if recipe.ema is not None and val is None:
        raise SettingsError("The averaged weights (ema) go into best.keras, which needs validation data.")
    wanted, found = recipe.mixed_precision or "float32", model.dtype_policy.name
    if wanted != found:
        raise SettingsError(
            f"The recipe asks for {wanted} and the model was built in {found}; call "
            f'keras.config.set_dtype_policy("{wanted}") before building it.'
        )
    if recipe.freeze_backbone or recipe.frozen_stages or recipe.head_multiplier != 1 or recipe.remat:
        backbone_of(model)
    if recipe.remat:
        check_stages(recipe.remat, backbone_of(model).stages)
    images = batch_size(recipe)
    check_batch_size(images)
    if every is not None and every.minutes is not None and place()[1] > 1:
        raise SettingsError(
            "Workers on several machines write checkpoints together, so `checkpoint_every` is a number of steps."
        )


def check_labels(train: Dataset | None, val: Dataset | None, classes: int) -> None:
    """DataError where training could only seem to succeed: no pixel has a label; SettingsError for a single class."""
    if classes == 1:
        raise SettingsError(
            "A single class has no other to be distinguished from: its probability is 1 everywhere. Declare the "
            "background as a class of its own, so that there are two."
        )
    for dataset in (train, val):
        if dataset is not None and not _has_label(dataset):
            raise DataError(
                f"{dataset.name}: in the split {dataset.split} every pixel of every mask has the ignored label "
                f"{dataset.ignore_label}, so nothing can be learned or scored; run `kseg check-data`."
            )


def _has_label(dataset: Dataset) -> bool:
    for index in range(len(dataset)):
        try:
            labels = dataset.load(index)[1]
        except DataError:  # the training says so, or skips it
            return True
        if dataset.ignore_label is None or (labels != dataset.ignore_label).any():
            return True
    return False


def check_normalization(model: keras.Model, recipe: Recipe, train: Dataset) -> None:
    """SettingsError where batch normalisation would see a single value a channel, or freeze it if the recipe says so.

    All devices together normalise a batch, and accumulated batches one after the other: so this concerns batches of
    one image.
    """
    if batch_size(recipe) > 1:
        return
    size = recipe.size or train.load(0)[0].shape[:2]
    scales = recipe.input_scales or (1.0,)
    sizes = {tuple(max(round(side * scale), 1) for side in size) for scale in scales}
    layers = list(dict.fromkeys(layer for size in sizes for layer in single_value_layers(model, size)))
    if layers and recipe.freeze_normalization is None:
        names = ", ".join(layer.path or layer.name for layer in layers[:4]) + (", ..." if layers[4:] else "")
        raise SettingsError(
            f"With one image a batch, the batch normalisation of {names} has a single value a channel, from which "
            "nothing can be learned: training scores rise and validation falls. Give a batch size of 2 or more "
            '(accumulated batches do not help), or the setting freeze_normalization: "single_value" keeps the stored '
            'statistics of these layers, "all" those of every layer.'
        )
    for layer in layers:
        layer.trainable = False


def batch_size(recipe: Recipe) -> int:
    """Images in a batch."""
    # The FCN paper raises the number of images by 1/p where it keeps a share p of the loss.
    return round(recipe.batch_size / (recipe.sampling or 1))
