"""Packages whose public names are imported when they are first asked for, so that a command imports what it uses."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def on_demand(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    Args:
        package: its `__name__`.
        homes: public name -> the module below the package that holds it; another package's with its full name, and the
            module itself where both are the same. No function may be called like its module, which would take its
            place.

    Example:
        ```python
        __getattr__, __dir__ = on_demand(__name__, {"Predictor": "predictor"})
        ```
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = homes[name] if homes[name].startswith("kseg.") else f"{package}.{homes[name]}"
        module = importlib.import_module(home)
        value = module if homes[name] == name else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *homes})

    return __getattr__, __dir__
