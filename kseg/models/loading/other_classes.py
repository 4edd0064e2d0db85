"""`with_classes`: the same network for other classes."""

from __future__ import annotations

from kseg import checks
from kseg.errors import ModelError
from kseg.models.structure.segmenter import Segmenter


def with_classes(model: Segmenter, num_classes: int, *, dtype: str | None = None) -> Segmenter:
    """Build the same network for another number of classes; it keeps all weights but those of the layers that score.

    Args:
        model: any kseg model; it is not changed.
        num_classes: number of classes of the new model.
        dtype: dtype policy such as "mixed_float16"; None keeps the model's.

    Returns:
        A model of the same class and arguments, without class names and palette. Layers whose shapes do not
        depend on the number of classes have the model's weights, the others random ones.

    Raises:
        ModelError: not a kseg model.
        SettingsError: `num_classes` is not a whole number of classes.

    Example:

    >>> trained = kseg.models.from_preset("people")
    >>> kseg.models.with_classes(trained, 5).num_classes
    5
    """
    if not isinstance(model, Segmenter):
        raise ModelError(
            f"{model.name} is a {type(model).__name__}, not a network of kseg: with other classes kseg cannot build it"
        )
    config = {**model.get_config(), "num_classes": checks.whole(num_classes, "num_classes")}
    config |= {"classes": None, "palette": None}
    if dtype is not None:
        backbone = config["backbone"]
        config["backbone"] = {**backbone, "config": {**backbone["config"], "dtype": dtype}}
        config["dtype"] = dtype
    other = type(model).from_config(config)
    for mine, theirs in zip(other.weights, model.weights, strict=True):
        if mine.shape == theirs.shape:
            mine.assign(theirs)
    return other
