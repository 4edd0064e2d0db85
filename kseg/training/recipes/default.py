"""The recipe of a training that names none."""

import keras

from kseg.training.recipes import RECIPES
from kseg.training.recipes.recipe import Recipe


def default_recipe(model: keras.Model, name: str, data: str) -> Recipe:
    """The recipe for this model and data set, else for this backbone and data set, else a general one.

    A recipe that starts from another training is never chosen, nor one of the FCN paper's (summed loss, tiny rates,
    ImageNet's weights), nor one made of crops of objects: these are taken only where they are asked for. Losses that
    belong to one network, such as PSPNet's second one, do not go over to others.

    Args:
        model: the model to train.
        name: its name in the catalog.
        data: the name of the data set.
    """
    known = [
        recipe
        for recipe in RECIPES.values()
        if recipe.data == data and not recipe.starts_from and recipe.reduction != "sum" and not recipe.crops
    ]
    backbone = backbone_name(model)
    for recipe in known:
        if recipe.model == name:
            return recipe
    for recipe in known:
        own = recipe.label_stride or recipe.input_scales or recipe.auxiliary_weight
        if backbone and recipe.backbone == backbone and not own:
            return recipe
    return Recipe(name="general", mirror=True, scale=(0.6, 1.6), warmup_steps=50)


def backbone_name(model: keras.Model) -> str:
    """What a model's backbone is, such as "EfficientNetLite lite0" or "ResNet 50"; "" for a model without one."""
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        return ""
    kind = getattr(backbone, "variant", getattr(backbone, "depth", ""))
    return f"{type(backbone).__name__} {kind}".strip()
