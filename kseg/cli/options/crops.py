"""The pictures of a recipe that trains on crops of objects or proposals, as DeconvNet's two stages do."""

import sys
from typing import Any

from kseg.cli.terminal import Bar

# The paper warps to 250x250 and trains on random 224x224 of it.
WARPED, TRAINED = 250, 224
MOST_BAD = 0.01  # of the pictures, as while training


def cut(recipe: Any, train: Any, val: Any, skip_bad: bool = False) -> tuple[Any, Any]:
    """The training and validation data of a recipe: crops where it says so, else what they are.

    Validation sees the objects of the ground truth at the size that the model is used at, in both stages; in the
    first, with the labels of the training: the object's class and background. ``skip_bad``: no crops of pictures that
    cannot be used, up to 1 % of them; more are a DataError.
    """
    if recipe.crops is None:
        return train, val
    from kseg.data import object_crops
    from kseg.errors import SettingsError

    if recipe.size is None:
        raise SettingsError(f"Recipe: crops of {recipe.crops} are warped to one size, and size is null")
    size = tuple(round(side * WARPED / TRAINED) for side in recipe.size)
    centre = recipe.crops == "objects"
    function = object_crops if centre else _proposal_crops
    cut_train = _watched(function, f"{recipe.crops}, {train.split}", train, skip_bad, size=size)
    if val is not None:
        settings = {"size": recipe.size, "only_centre": centre, "most_repeats": 1}
        val = _watched(object_crops, f"objects, {val.split}", val, skip_bad, **settings)
    return cut_train, val


def _proposal_crops(dataset: Any, **settings: Any) -> Any:
    from kseg.data import proposal_crops
    from kseg.inference.proposals.cache import ProposalCache, default_cache_folder

    return proposal_crops(dataset, ProposalCache(default_cache_folder()), **settings)


def _watched(function: Any, label: str, dataset: Any, skip_bad: bool, **settings: Any) -> Any:
    bad: dict[int, str] | None = {} if skip_bad else None
    with Bar(label) as bar:
        found = function(dataset, progress=bar, bad=bad, **settings)
    if bad:
        _tell(bad, dataset)
    return found


def _tell(bad: dict[int, str], dataset: Any) -> None:
    """Say which pictures are left out; DataError where they are too many."""
    from kseg.errors import DataError

    reasons = [reason for _, reason in sorted(bad.items())]
    listed = "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")
    if len(bad) > MOST_BAD * len(dataset):
        raise DataError(
            f"{len(bad)} of {len(dataset)} pictures cannot be used, more than {MOST_BAD:.0%}: {listed}"
        )
    print(
        f"kseg: no crops of {len(bad)} pictures of {dataset.split} that cannot be used: {listed}",
        file=sys.stderr,
    )
