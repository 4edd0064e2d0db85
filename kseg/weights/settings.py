"""`settle`: what a network is built with that no key of a file shows, such as the rates of its ASPP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kseg import checks
from kseg.errors import SettingsError

if TYPE_CHECKING:
    from kseg.weights.source import Arrays, Source

GIVEN, CONFIG, ASSUMED = "given", "config", "assumed"


@dataclass(frozen=True)
class Settled:
    """The settings of one network.

    Attributes:
        values: by name, such as `{"output_stride": 8, "aspp_rates": (12, 24, 36)}`.
        origins: where each is from: "given", "config" (the file's own, or the config.json beside it) or "assumed".
    """

    values: dict[str, Any]
    origins: dict[str, str]

    def __str__(self) -> str:
        """Every setting with its value, by where it is from."""
        words = {ASSUMED: "assumed, as no key shows it: ", CONFIG: "from its config: ", GIVEN: "as given: "}
        parts = []
        for origin, word in words.items():
            own = [
                f"{name} {','.join(f'{one:g}' for one in value) if isinstance(value, tuple) else str(value).lower()}"
                for name, value in self.values.items()
                if self.origins[name] == origin
            ]
            if own:
                parts.append(word + ", ".join(own))
        return "; ".join(parts)


def settle(source: Source, arrays: Arrays, given: Mapping[str, Any], config: Mapping[str, Any]) -> Settled:
    """The settings of a network: those given, else those of the file's config, else the source's usual ones.

    Args:
        source: whose network it is.
        arrays: the file's.
        given: by name.
        config: what the program that wrote the file says of the network.

    Raises:
        SettingsError: a setting that the source does not have, or a value that it cannot have.
        ModelError: a config that contradicts the keys, or a setting that cannot be assumed.
    """
    of_file = source.of_config(config, arrays) if config else {}
    known = {**of_file, **given}
    usual = source.usual(arrays, known)
    unknown = [name for name in given if name not in usual]
    if unknown:
        names = ", ".join(usual) or "none"
        raise SettingsError(f"{source.name} has no setting {unknown[0]!r}; its settings are: {names}")
    values = {name: _checked(name, known.get(name, value), value) for name, value in usual.items()}
    stride = values.get("output_stride")
    if stride is not None and stride not in source.output_strides:
        strides = " or ".join(map(str, source.output_strides))
        raise SettingsError(f"{source.name} has networks of output stride {strides}, not {stride}")
    origins = {name: GIVEN if name in given else CONFIG if name in of_file else ASSUMED for name in values}
    return Settled(values, origins)


def parse(pairs: Iterable[str]) -> dict[str, Any]:
    """Settings as the command line has them: "aspp_rates=6,12,18", "align_corners=true".

    Raises:
        SettingsError: one without a name or a value, or a name twice.
    """
    found = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        name, text = name.strip().replace("-", "_"), text.strip()
        if not name or not text:
            raise SettingsError(f"--set {pair}: expected NAME=VALUE, such as aspp_rates=6,12,18")
        parts = [_value(one) for one in text.strip("()[]").rstrip(",").split(",")]
        if name in found:
            raise SettingsError(f"--set {pair}: {name} was given twice")
        found[name] = tuple(parts) if "," in text else parts[0]
    return found


def _value(text: str) -> Any:
    """A number, true or false; any other text as it is."""
    try:
        found = json.loads(text.strip().lower())
    except (ValueError, RecursionError):
        found = None
    return found if isinstance(found, (bool, int, float)) else text.strip()


def _checked(name: str, value: Any, usual: Any) -> Any:
    """A value of the kind, and of as many parts, as the usual one."""
    if isinstance(usual, bool):
        return checks.flag(value, name)
    if isinstance(usual, int):
        return checks.whole(value, name)
    if isinstance(usual, str):
        return checks.one_of(value, name, ("stage", "previous"))
    values = (value,) if isinstance(value, (int, float)) else value
    if all(isinstance(one, int) for one in usual):
        found = checks.wholes(values, name, count=len(usual))
        if len(set(found)) < len(found):
            raise checks.wrong(name, f"{len(usual)} different whole numbers (kseg builds no others)", value)
        return found
    found = checks.numbers(values, name, count=len(usual))
    if all(0 < one < 1 for one in found):  # as PyTorch's programs write them
        raise checks.wrong(name, "on the scale of images, 0 to 255 (255 times PyTorch's)", value)
    return found
