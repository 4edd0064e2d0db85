"""What is imported when it is first asked for: a package's public names, and packages that may be missing."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from typing import Any

from kseg.errors import PackageError


class OptionalPackage:
    """Stands for a package that is imported when something of it is first asked for, as `tensorflow` below.

    Under Keras's other backends most of kseg works without TensorFlow; what does not says so where it is called.

    Args:
        module: the package's name.
        title: what people call it.
        install: what brings it, the words after `pip install`.

    Raises:
        PackageError: something of the package is asked for, and it is not installed.

    Example:

    >>> from kseg.parts import OptionalPackage
    >>> OptionalPackage("math", "math", "math").floor(2.5)
    2
    """

    def __init__(self, module: str, title: str, install: str) -> None:
        self._module, self._title, self._install = module, title, install

    def installed(self) -> bool:
        """Whether the package can be imported; it is only looked for."""
        # Looked up first: within a graph AutoGraph warns of find_spec, whose source it does not find.
        return sys.modules.get(self._module) is not None or importlib.util.find_spec(self._module) is not None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copy, pickle and inspect look for is no use of the package
            raise AttributeError(name)
        try:
            module = importlib.import_module(self._module)
        except ModuleNotFoundError as error:
            if error.name != self._module:
                raise
            raise PackageError(
                f"This needs {self._title}, which is not installed: pip install {self._install}"
            ) from None
        value = getattr(module, name)
        setattr(self, name, value)
        return value


tensorflow = OptionalPackage("tensorflow", "TensorFlow", '"tensorflow>=2.21,<2.22"')


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


def import_all(package: str) -> None:
    """Import every module that a package's public names come from, which registers their classes with Keras.

    Args:
        package: its full name.

    Example:

    >>> from kseg.parts import import_all
    >>> import_all("kseg.layers")
    """
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        getattr(module, name)
