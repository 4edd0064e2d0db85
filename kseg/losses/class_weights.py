"""Class weights in the two forms that Keras knows: one number a class, or a dict from class id to number."""

import math
from collections.abc import Iterable, Mapping
from numbers import Integral, Real

from kseg.errors import SettingsError

ClassWeights = tuple[float, ...] | dict[int, float]


def checked_class_weights(
    weights: Mapping[int | str, float] | Iterable[float] | None,
) -> ClassWeights | None:
    """Class weights as a tuple, or as a dict with whole numbers for keys; None stays None.

    Args:
        weights: one number a class in the order of the class ids, or a dict `{class id: number}` as Keras's
            `fit(class_weight=)` takes it. Ids may be texts of digits, as JSON has them.

    Raises:
        SettingsError: neither of the two; a key that is not a class id; a weight that is negative or not finite; or
            no weight above 0.
    """
    if weights is None:
        return None
    if isinstance(weights, Mapping):
        found = {}
        for key, value in weights.items():
            digits = isinstance(key, str) and key.isascii() and key.isdigit()
            if not digits and (not isinstance(key, Integral) or isinstance(key, bool) or key < 0):
                raise SettingsError(f"The keys of class weights are class ids from 0 on; got {key!r}.")
            found[int(key)] = _weight(value)
        if len(found) < len(weights):
            raise SettingsError(f"Class weights name a class twice: {dict(weights)}.")
        values = [*found.values(), 1.0]  # of the classes that the dict does not name
    elif isinstance(weights, (str, bytes, set, frozenset)) or not isinstance(weights, Iterable):
        raise SettingsError(
            f"Class weights are one number a class, or a dict from class id to number; got {weights!r}."
        )
    else:
        found = values = tuple(_weight(value) for value in weights)
    if not any(values):
        raise SettingsError("At least one class weight must be above 0; nothing would be learned.")
    return found


def weights_of_classes(weights: ClassWeights, num_classes: int) -> tuple[float, ...]:
    """One number for each of the classes; classes that a dict does not name have 1, as in Keras.

    Raises:
        SettingsError: another number of weights than of classes, or an id beyond them.
    """
    if isinstance(weights, dict):
        unknown = sorted(key for key in weights if key >= num_classes)
        if unknown:
            raise SettingsError(
                f"Class weights name the classes {', '.join(map(str, unknown))}, but the ids of {num_classes} "
                f"classes are 0 to {num_classes - 1}."
            )
        found = tuple(weights.get(number, 1.0) for number in range(num_classes))
        if not any(found):
            raise SettingsError("At least one class weight must be above 0; nothing would be learned.")
        return found
    if len(weights) != num_classes:
        raise SettingsError(f"{len(weights)} class weights for {num_classes} classes.")
    return weights


def _weight(value: float) -> float:
    try:
        number = float(value) if isinstance(value, Real) or getattr(value, "ndim", None) == 0 else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise SettingsError(f"A class weight is a finite number from 0 on; got {value!r}.")
    return number
