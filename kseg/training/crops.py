"""The images of a recipe that trains on crops of objects or proposals, as DeconvNet's two stages do."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from kseg.data import Dataset, object_crops, proposal_crops
from kseg.data.crops import Crops
from kseg.errors import DataError, SettingsError
from kseg.inference.proposals.cache import ProposalCache, default_cache_folder
from kseg.training.recipes.recipe import Recipe

# The paper warps to 250x250 and trains on random 224x224 of it.
WARPED, TRAINED = 250, 224
MOST_BAD = 0.01  # of the images, as while training


def cut(
    recipe: Recipe,
    train: Dataset,
    val: Dataset | None,
    skip_bad: bool = False,
    say: Callable[[str], None] | None = None,
) -> tuple[Dataset, Dataset | None]:
    """The training and validation data of a recipe: crops where it says so, else what they are.

    Validation sees the objects of the ground truth at the size that the model is used at, in both stages; in the
    first, with the labels of the training: the object's class and background.

    Args:
        recipe: its `crops` and `size` are read.
        train, val: whole images; data that are crops already stay as they are.
        skip_bad: no crops of images that cannot be used, up to 1 % of them; more are a DataError.
        say: called with a line on what is being done, as it takes a while.

    Raises:
        SettingsError: crops are asked for, and the recipe has no size.
        DataError: no object was found, or an image that cannot be used.
    """
    if recipe.crops is None or isinstance(train.samples, Crops):
        return train, val
    if recipe.size is None:
        raise SettingsError(f"Recipe: crops of {recipe.crops} are warped to one size, and size is null.")
    size = tuple(round(side * WARPED / TRAINED) for side in recipe.size)
    centre = recipe.crops == "objects"
    function = object_crops if centre else partial(proposal_crops, propose=ProposalCache(default_cache_folder()))
    say = say or (lambda text: None)
    say(f"finding {recipe.crops} in the {len(train)} images of {train.split}")
    found = _without_bad(function, train, skip_bad, size=size)
    if val is not None:
        say(f"finding objects in the {len(val)} images of {val.split}")
        settings = {"size": recipe.size, "only_centre": centre, "most_repeats": 1}
        val = _without_bad(object_crops, val, skip_bad, **settings)
    return found, val


def _without_bad(
    function: Callable[..., Dataset], dataset: Dataset, skip_bad: bool, **settings: Any
) -> Dataset:
    """The crops of a data set; says which images are left out, and a DataError where they are too many."""
    bad: dict[int, str] | None = {} if skip_bad else None
    found = function(dataset, bad=bad, **settings)
    if not bad:
        return found
    reasons = [reason for _, reason in sorted(bad.items())]
    listed = "; ".join(reasons[:3]) + (f"; and {len(reasons) - 3} more" if len(reasons) > 3 else "")
    if len(bad) > MOST_BAD * len(dataset):
        raise DataError(
            f"{len(bad)} of {len(dataset)} images cannot be used, more than {MOST_BAD:.0%}: {listed}"
        )
    print(
        f"kseg: no crops of {len(bad)} images of {dataset.split} that cannot be used: {listed}",
        file=sys.stderr,
    )
    return found
