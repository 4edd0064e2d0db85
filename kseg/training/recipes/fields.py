"""Fields of recipes and of their parts: each value in its own type and range, or a SettingsError that names it."""

import dataclasses
import sys
from typing import Any

from kseg.errors import SettingsError

TINY, HUGE = 1e-30, 1e9


def check_fields(
    settings: Any, ranges: dict[str, tuple[float, float]], choices: dict[str, tuple[Any, ...]]
) -> None:
    """Bring the fields of a frozen dataclass to their own types and check them.

    Args:
        settings: the dataclass; fields of other types than numbers, texts, lists and dicts of these are left alone.
        ranges: lowest and highest value of a field, both allowed; None is always allowed where the type has it.
        choices: the values that a field may have.

    Raises:
        SettingsError: a value of another type, out of range, or not among the choices.
    """
    for field in dataclasses.fields(settings):
        object.__setattr__(settings, field.name, _typed(field, getattr(settings, field.name)))
    for name, allowed in choices.items():
        if getattr(settings, name) not in allowed:
            raise wrong(name, getattr(settings, name), "one of " + ", ".join(map(str, allowed)))
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            raise wrong(name, value, f"between {low:g} and {high:g}")


def wrong(name: str, value: Any, expected: str) -> SettingsError:
    """The error of a setting that has another value than expected."""
    return SettingsError(f"Recipe: {name} is {value!r}, but must be {expected}.")


def in_json(value: Any) -> Any:
    """A value as JSON has it: no tuples."""
    return [in_json(each) for each in value] if isinstance(value, tuple) else value


def _typed(field: dataclasses.Field, value: Any) -> Any:
    """The value in the field's own type: JSON has no tuples, and writes 1.0 as 1."""
    kinds = str(field.type)
    if not any(kind in kinds for kind in ("str", "tuple", "bool", "int", "float")):
        return value  # a part
    if value is None and "None" in kinds:
        return None
    if "dict" in kinds and isinstance(value, dict):
        return {str(key): _number(field.name, item, False) for key, item in value.items()}
    if "tuple[str" in kinds:
        names = (value,) if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
            raise wrong(field.name, value, "a list of names")
        return tuple(names)
    if "tuple" in kinds and isinstance(value, list | tuple):
        whole, pair = "int" in kinds, "..." not in kinds
        if pair and len(value) != 2:
            raise wrong(field.name, value, "two numbers")
        return tuple(_number(field.name, item, whole) for item in value)
    if "str" in kinds and isinstance(value, str):
        return value
    if kinds.startswith("<class 'bool'") or kinds == "bool":
        if isinstance(value, bool):
            return value
        raise wrong(field.name, value, "true or false")
    if "str" in kinds or "tuple" in kinds:
        raise wrong(field.name, value, "a text" if "tuple" not in kinds else "a list of numbers")
    return _number(field.name, value, "int" in kinds)


def _number(name: str, value: Any, whole: bool) -> int | float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # An int beyond the floats is compared, not converted: JSON may hold hundreds of digits.
    if (
        not number
        or not -sys.float_info.max <= value <= sys.float_info.max
        or (whole and value != int(value))
    ):
        raise wrong(name, value, "a whole number" if whole else "a number")
    return int(value) if whole else float(value)
