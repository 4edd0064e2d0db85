"""The pictures of a recipe that trains on crops of objects or proposals, as DeconvNet's two stages do."""

from typing import Any

from kseg.cli.terminal import Bar

# The paper warps to 250x250 and trains on random 224x224 of it.
WARPED, TRAINED = 250, 224


def cut(recipe: Any, train: Any, val: Any) -> tuple[Any, Any]:
    """The training and validation data of a recipe: crops where it says so, else what they are.

    Validation sees the objects of the ground truth at the size that the model is used at, in both stages; in the
    first, with the labels of the training: the object's class and background.
    """
    if recipe.crops is None:
        return train, val
    from kseg.data import object_crops
    from kseg.errors import SettingsError

    if recipe.size is None:
        raise SettingsError(f"Recipe: crops of {recipe.crops} are warped to one size, and size is null")
    size = tuple(round(side * WARPED / TRAINED) for side in recipe.size)
    centre = recipe.crops == "objects"
    cut_train = (
        _watched(object_crops, f"objects, {train.split}", train, size=size)
        if centre
        else _watched(_proposal_crops, f"proposals, {train.split}", train, size=size)
    )
    if val is not None:
        val = _watched(
            object_crops, f"objects, {val.split}", val, size=recipe.size, only_centre=centre, most_repeats=1
        )
    return cut_train, val


def _proposal_crops(dataset: Any, **settings: Any) -> Any:
    from kseg.data import proposal_crops
    from kseg.inference.proposals.cache import ProposalCache, default_cache_folder

    return proposal_crops(dataset, ProposalCache(default_cache_folder()), **settings)


def _watched(function: Any, label: str, dataset: Any, **settings: Any) -> Any:
    with Bar(label) as bar:
        return function(dataset, progress=bar, **settings)
