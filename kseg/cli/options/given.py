"""Which options were typed: one that would do nothing is refused, whatever its default is."""

import argparse
from collections.abc import Sequence


def given(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> frozenset[str]:
    """The names (as in the parsed arguments) of what `argv` gives itself, and not a default."""
    parsers, defaults = [parser], []
    for one in parsers:
        for action in one._actions:
            defaults.append((action, action.default))
            action.default = argparse.SUPPRESS
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
    try:
        return frozenset(vars(parser.parse_args(argv))) - {"verb", "run"}
    finally:
        for action, default in defaults:
            action.default = default


def refuse(args: argparse.Namespace, why: str, *names: str) -> None:
    """SettingsError where one of these options was typed; `why` says what it would need."""
    from kseg.errors import SettingsError

    typed = getattr(args, "given", frozenset())
    flags = [f"--{name.replace('_', '-')}" for name in names if name in typed]
    if flags:
        raise SettingsError(f"{', '.join(flags)} would do nothing: {why}")
