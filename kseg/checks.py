"""Checks of arguments: each returns the value in its own type, or says what was expected and what came.

Every check takes the value and the name under which the caller knows it, which may be a phrase such as
"`rate` of AtrousConv2D". All raise `kseg.errors.SettingsError`, which is also a ValueError. Nothing here imports
Keras or TensorFlow.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from numbers import Real
from operator import index
from typing import Any, TypeVar

import numpy as np

from kseg.errors import SettingsError

Choice = TypeVar("Choice")
LARGEST_SCALE = 1000  # beyond it an image of any size has no end of windows


def whole(value: Any, name: str, least: int | None = 1, most: int | None = None) -> int:
    """A whole number: an int or an integer of NumPy, no bool and no float.

    Args:
        value: what was given.
        name: of the argument, for the message.
        least, most: the bounds, both included; None is no bound.

    Returns:
        The value as an int.

    Raises:
        SettingsError: anything else.

    Example:

    >>> whole(3, "classes")
    3
    >>> whole(2.5, "classes")
    Traceback (most recent call last):
    kseg.errors.SettingsError: `classes` must be a whole number from 1 on; got 2.5.
    """
    found = _as_whole(value)
    if found is None or not _within(found, least, most):
        of_names = isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value)
        raise wrong(name, f"a whole number{_range(least, most)}{', as len(names) is' * bool(of_names)}", value)
    return found


def wholes(values: Any, name: str, least: int | None = 1, count: int | None = None) -> tuple[int, ...]:
    """Several whole numbers, at least one, or exactly `count`; see `whole`."""
    found = tuple(map(_as_whole, _as_tuple(values)))
    if not found or None in found or not all(_within(n, least, None) for n in found):
        raise wrong(name, f"{_amount(count)}whole numbers{_range(least, None)}", values)
    if count is not None and len(found) != count:
        raise wrong(name, f"{_amount(count)}whole numbers{_range(least, None)}", values)
    return found


def number(
    value: Any,
    name: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> float:
    """A finite number, no bool and no text.

    Args:
        value: what was given.
        name: of the argument, for the message.
        least, most: bounds that are included.
        above, below: bounds that are not.

    Returns:
        The value as a float.

    Raises:
        SettingsError: anything else.

    Example:

    >>> number(1, "std", above=0)
    1.0
    """
    found = _as_number(value)
    if found is None or not _within(found, least, most, above, below):
        raise wrong(name, f"a number{_range(least, most, above, below)}", value)
    return found


def numbers(values: Any, name: str, *, count: int | None = None, **bounds: float) -> tuple[float, ...]:
    """Several numbers, at least one, or exactly `count`; bounds as in `number`."""
    found = tuple(map(_as_number, _as_tuple(values)))
    fits = bool(found) and None not in found and count in (None, len(found))
    if not fits or not all(_within(n, **bounds) for n in found):
        raise wrong(name, f"{_amount(count)}numbers{_range(**bounds)}", values)
    return found


def fraction(value: Any, name: str, *, zero: bool = True, one: bool = True) -> float:
    """A number from 0 to 1; `zero` and `one` say whether these two are allowed.

    Example:

    >>> fraction(0.5, "dropout", one=False)
    0.5
    """
    bounds = {"least" if zero else "above": 0, "most" if one else "below": 1}
    return number(value, name, **bounds)


def pair(value: Any, name: str, least: int | None = 1) -> tuple[int, int]:
    """Two whole numbers (vertical, horizontal), or one that stands for both.

    Example:

    >>> pair(3, "kernel_size"), pair((3, 5), "kernel_size")
    ((3, 3), (3, 5))
    """
    single = _as_whole(value)
    found = (single, single) if single is not None else tuple(map(_as_whole, _as_tuple(value)))
    if len(found) != 2 or None in found or not all(_within(n, least, None) for n in found):
        expected = f"a whole number{_range(least, None)} or a pair (height, width) of them"
        raise wrong(name, expected, value)
    return found


def one_of(value: Choice, name: str, choices: Collection[Choice]) -> Choice:
    """One of the choices, compared with `==`; True is not 1."""
    for choice in choices:
        if type(value) in (bool, str) and type(value) is not type(choice):
            continue
        if value is choice or (np.ndim(value) == 0 and value == choice):
            return choice
    raise wrong(name, _listed([repr(choice) for choice in choices]), value)


def flag(value: Any, name: str) -> bool:
    """True or False, also NumPy's; 0 and 1 are taken, texts such as "no" are not."""
    if isinstance(value, bool | np.bool_) or _as_whole(value) in (0, 1):
        return bool(value)
    raise wrong(name, "True or False", value)


def scales(
    values: Any, name: str = "scales", *, with_one: bool = False, different: bool = True
) -> tuple[float, ...]:
    """Scales above 0, in the order given; a single number is one scale.

    Args:
        values: what was given.
        name: of the argument, for the message.
        with_one: scale 1 must be among them.
        different: none may come twice.
    """
    single = _as_number(values)
    found = (single,) if single is not None else tuple(map(_as_number, _as_tuple(values)))
    fits = bool(found) and None not in found and (not different or len(set(found)) == len(found))
    if not fits or not all(0 < n <= LARGEST_SCALE for n in found) or (with_one and 1 not in found):
        kind, among = "different " if different else "", " with 1 among them" if with_one else ""
        expected = f"{kind}numbers above 0, up to {LARGEST_SCALE}{among}, such as (0.5, 0.75, 1.0)"
        raise wrong(name, expected, values)
    return found


def value_range(values: Any, name: str = "value_range") -> tuple[float, float]:
    """(lowest, highest) value that images may have, the lowest below the highest.

    Example:

    >>> value_range((0, 65535))
    (0.0, 65535.0)
    """
    found = tuple(map(_as_number, _as_tuple(values)))
    if len(found) != 2 or None in found or found[0] >= found[1]:
        raise wrong(name, "the lowest and the highest value of images, such as (0, 255)", values)
    return found


def colour(value: Any, name: str) -> tuple[int, int, int]:
    """An RGB colour of 0-255: three whole numbers, or a text such as "#ff8000", "orange" or "rgb(255, 128, 0)".

    Example:

    >>> colour("#ff8000", "colour"), colour([255, 128, 0], "colour")
    ((255, 128, 0), (255, 128, 0))
    """
    found = value
    if isinstance(value, str):
        from PIL import ImageColor

        try:
            found = ImageColor.getrgb(value)
        except ValueError:
            found = ()
    numbers = tuple(map(_as_whole, _as_tuple(found)))
    if len(numbers) != 3 or any(number is None or not 0 <= number <= 255 for number in numbers):
        raise wrong(name, 'a colour of three whole numbers from 0 to 255, or a text such as "#ff8000"', value)
    return numbers


def arguments(given: Mapping[str, Any], function: Callable, owner: str) -> None:
    """Refuse keyword arguments that a function does not have.

    Args:
        given: the keyword arguments by name.
        function: the function or constructor that they are for; its signature has the known names.
        owner: what the user called, for the message.

    Raises:
        SettingsError: an unknown name; close names are suggested and all that are known get listed.
    """
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [p.name for p in parameters if p.kind in kinds and p.name not in ("self", "cls")]
    for name in given:
        if name not in known:
            close = [f"`{one}`" for one in difflib.get_close_matches(name, known, n=3)]
            hint = f": did you mean {_listed(close)}?" if close else "."
            raise SettingsError(
                f"{owner} has no argument `{name}`{hint} Its arguments are {', '.join(known)}."
            )


def wrong(name: str, expected: str, value: Any) -> SettingsError:
    """The error for a value that is not what was expected, to raise where no check here fits."""
    name = f"`{name}`" if name.isidentifier() else name
    text = repr(value)
    return SettingsError(
        f"{name} must be {expected}; got {text if len(text) <= 200 else text[:200] + '...'}."
    )


def _as_whole(value: Any) -> int | None:
    if isinstance(value, bool | np.bool_) or np.ndim(value):
        return None
    try:
        return index(value)
    except TypeError:
        return None


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _as_tuple(values: Any) -> tuple:
    iterable = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)
    return tuple(values) if iterable and np.ndim(values) != 0 else ()


def _within(
    value: float,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> bool:
    return (
        (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
    )


def _range(
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> str:
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}"
    low = f"from {least:g} on" if least is not None else f"above {above:g}" if above is not None else ""
    high = f"at most {most:g}" if most is not None else f"below {below:g}" if below is not None else ""
    both = " and ".join(filter(None, (low, high)))
    return f" {both}" if both else ""


def _amount(count: int | None) -> str:
    return "one or more " if count is None else f"{count} "


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} or {parts[-1]}"
