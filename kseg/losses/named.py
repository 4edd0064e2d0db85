"""Losses by name, by object or by function: what `kseg.training` and `kseg train` take as a loss."""

from typing import Any

import keras

from kseg.errors import SettingsError
from kseg.losses.boundary_cross_entropy import BoundaryCrossEntropy
from kseg.losses.cross_entropy import CrossEntropy
from kseg.losses.dice import Dice
from kseg.losses.focal import Focal
from kseg.losses.jaccard import Jaccard
from kseg.losses.keras_loss import KerasLoss
from kseg.losses.lovasz import Lovasz
from kseg.losses.map_loss import MapLoss
from kseg.losses.tversky import Tversky
from kseg.losses.weighted_sum import WeightedSum

LOSSES: dict[str, type[MapLoss]] = {
    "cross_entropy": CrossEntropy,
    "boundary_cross_entropy": BoundaryCrossEntropy,
    "dice": Dice,
    "jaccard": Jaccard,
    "tversky": Tversky,
    "focal": Focal,
    "lovasz": Lovasz,
}


def get(loss: Any) -> MapLoss:
    """A loss of label maps.

    Args:
        loss: a `MapLoss`; any Keras loss, or function of (labels, logits), that takes integer labels; or one of the
            names in `LOSSES`, or a sum of them such as "cross_entropy + 0.5 * dice".

    Raises:
        SettingsError: nothing of these, or a loss of Keras that takes probabilities.

    Example:

    >>> get("cross_entropy").ignore_label
    255
    """
    if isinstance(loss, MapLoss):
        return loss
    if isinstance(loss, str):
        terms, weights = [], []
        for part in loss.split("+"):
            weight, times, name = part.rpartition("*")
            if name.strip() not in LOSSES:
                raise SettingsError(
                    f"There is no loss {name.strip()!r}; there are {', '.join(LOSSES)}, and sums such as "
                    "cross_entropy + 0.5 * dice."
                )
            try:
                weights.append(float(weight) if times else 1.0)
            except ValueError:
                raise SettingsError(
                    f"{loss!r} is not a sum of losses; write it as cross_entropy + 0.5 * dice."
                ) from None
            terms.append(LOSSES[name.strip()]())
        return terms[0] if weights == [1.0] else WeightedSum(terms, weights)
    if isinstance(loss, type) or not callable(loss):
        raise SettingsError(f"A loss is an object, a function or one of {', '.join(LOSSES)}; got {loss!r}.")
    if getattr(loss, "_fn_kwargs", {}).get("from_logits") is False:
        raise SettingsError(
            f"The loss {loss.name} would take logits for probabilities; make it with from_logits=True, or give "
            "kseg.losses.CrossEntropy()."
        )
    return KerasLoss(loss)


def to_dict(loss: MapLoss) -> dict[str, Any]:
    """The loss as JSON has it: its registered name, and its settings; no names, which Keras numbers."""
    name = keras.saving.get_registered_name(type(loss))
    return {"class": name, "config": _plain(loss.get_config())}


def from_dict(values: dict[str, Any]) -> MapLoss:
    """The loss that `to_dict` gave; SettingsError for a class that is not registered with Keras.

    No module is imported for it: a recipe may come from anywhere.
    """
    name, config = values.get("class"), values.get("config")
    found = keras.saving.get_registered_object(name) if isinstance(name, str) else None
    if not (isinstance(found, type) and issubclass(found, keras.losses.Loss)) or not isinstance(config, dict):
        raise SettingsError(
            f"Recipe: the loss {name!r} is not known; import the module that registers it with Keras."
        )
    for inner in _inside(config):
        of_keras = str(inner.get("module")).partition(".")[0] == "keras"
        if not of_keras and keras.saving.get_registered_object(str(inner.get("registered_name"))) is None:
            raise SettingsError(
                f"Recipe: the loss {inner.get('class_name')!r} is not known; give the loss itself again, or register "
                "it with keras.saving.register_keras_serializable."
            )
    try:
        return get(found.from_config(config))
    except (TypeError, KeyError) as error:
        raise SettingsError(f"Recipe: the loss {name} cannot be made of {config} ({error}).") from error


def _inside(value: Any) -> list[dict[str, Any]]:
    """Everything in a config that Keras would make an object of."""
    if isinstance(value, dict):
        own = [value] if "class_name" in value else []
        return own + [found for item in value.values() for found in _inside(item)]
    return [found for item in value for found in _inside(item)] if isinstance(value, list) else []


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items() if key != "name"}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
