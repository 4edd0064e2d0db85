"""Packages that import their parts when they are asked for them."""

import importlib
import types

import pytest

import kseg
from kseg.parts import OptionalPackage, on_demand

PACKAGES = [part for part in kseg._PARTS if hasattr(getattr(kseg, part), "_HOMES")]


@pytest.mark.parametrize("part", PACKAGES)
def test_every_name_is_the_thing_itself_whatever_was_imported_before(part):
    package = importlib.import_module(f"kseg.{part}")
    assert set(package._HOMES) == set(package.__all__)
    for name, home in package._HOMES.items():
        module = importlib.import_module(home if home.startswith("kseg.") else f"{package.__name__}.{home}")
        assert getattr(package, name) is (module if home == name else getattr(module, name))
        assert name in dir(package)


def test_a_name_that_is_not_there(monkeypatch):
    package = types.ModuleType("kseg_example")
    package.__getattr__, package.__dir__ = on_demand("kseg_example", {"errors": "kseg.errors"})
    with pytest.raises(AttributeError, match="module 'kseg_example' has no attribute 'nothing'"):
        package.nothing  # noqa: B018


@pytest.mark.tensorflow
def test_a_package_in_use_is_not_looked_for_again(monkeypatch):
    """Within a graph AutoGraph would warn of looking for it."""

    def looked_for(name):
        raise AssertionError(name)

    monkeypatch.setattr("importlib.util.find_spec", looked_for)
    assert OptionalPackage("math", "math", "math").installed()
