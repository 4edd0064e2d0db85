"""The recipe of a training that names none."""

import keras

from kseg.training.recipes import RECIPES
from kseg.training.recipes.recipe import Recipe


def default_recipe(model: keras.Model, name: str, data: str) -> Recipe:
    """Choose the recipe for a model and data set, otherwise for its backbone and the data set, otherwise a general one.

    A recipe that starts from another training is never chosen, nor one of the FCN paper's (summed loss, tiny
    rates, ImageNet weights), nor one on crops of objects: these are used only if asked for. Losses that
    belong to one network, such as PSPNet's second one, are not carried over to others.

    Args:
        model: the model to train.
        name: name of the model in the catalog.
        data: name of the data set.

    Returns:
        A `Recipe`.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> model = kseg.models.DilatedFCN(backbone, num_classes=3, filters=8)
    >>> kseg.training.default_recipe(model, "my_model", "my_data").name
    'general'
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
    # A network whose file has a second head is trained with it, as it was before.
    weight = 0.4 if hasattr(model, "second_head") else None
    return Recipe(name="general", mirror=True, scale=(0.6, 1.6), warmup_steps=50, auxiliary_weight=weight)


def backbone_name(model: keras.Model) -> str:
    """What a model's backbone is, such as "EfficientNetLite lite0" or "ResNet 50"; "" for a model without one."""
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        return ""
    kind = getattr(backbone, "variant", getattr(backbone, "depth", ""))
    return f"{type(backbone).__name__} {kind}".strip()
