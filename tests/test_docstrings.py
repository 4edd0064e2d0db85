"""Public classes, functions and methods are documented as Keras does it, and what takes no tensor has types."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import keras
import pytest

import kseg

PACKAGE = Path(kseg.__file__).parent
PARTS = (
    *("ops", "layers", "backbones", "models", "weights", "losses", "metrics", "data", "training"),
    *("inference", "evaluation", "export", "visualize", "webcam"),
)
SECTIONS = (
    *("Args", "Attributes", "Call arguments", "Returns", "Yields", "Raises"),
    *("Input shape", "Output shape", "Reference", "Example"),
)
# A function with one of these among its parameters takes a tensor (or what Keras gives it in place of one).
TENSORS = {
    *("x", "inputs", "image", "images", "tensor", "tensors", "maps", "map", "args", "kwargs", "values"),
    *("y_true", "y_pred", "labels", "label", "logits", "scores", "probabilities", "gradients", "gradient"),
    *("input_shape", "input_spec", "mask", "masks", "pooled", "argmax", "like"),
}


@functools.cache
def public() -> dict[str, Callable]:
    """Qualified name -> class or function, of everything that the packages export."""
    found = {f"kseg.{name}": getattr(kseg, name) for name in ("KsegError", "predict", "predictor")}
    for part in PARTS:
        package = importlib.import_module(f"kseg.{part}")
        names = getattr(package, "__all__", None) or [m.name for m in pkgutil.iter_modules(package.__path__)]
        for name in names:
            value = getattr(package, name, None) or importlib.import_module(f"kseg.{part}.{name}")
            if isinstance(value, ModuleType):
                own = {
                    key: member
                    for key, member in vars(value).items()
                    if not key.startswith("_") and getattr(member, "__module__", None) == value.__name__
                }
                found |= {
                    f"kseg.{part}.{name}.{key}": member for key, member in own.items() if callable(member)
                }
            elif callable(value):
                found[f"kseg.{part}.{name}"] = value
    return found


def methods() -> dict[str, Callable]:
    """Qualified name -> public method; one that overrides another has the other's documentation."""
    found = {}
    for name, value in public().items():
        for key, member in vars(value).items() if inspect.isclass(value) else ():
            function = inspect.unwrap(getattr(member, "__func__", member))
            inherited = any(key in vars(base) for base in value.__mro__[1:])
            if inspect.isfunction(function) and not key.startswith("_") and not inherited:
                found[f"{name}.{key}"] = function
    return found


def sections(documentation: str) -> dict[str, str]:
    """Title of a section -> what stands below it; the text before the first one has the title ""."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):[ ]*\n", inspect.cleandoc(documentation) + "\n", flags=re.M)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def parameters(value: Callable) -> list[str]:
    own = [c for c in value.__mro__ if c.__module__.startswith("kseg")] if inspect.isclass(value) else []
    if inspect.isclass(value) and not any("__init__" in vars(c) for c in own):
        return []
    function = value.__init__ if inspect.isclass(value) else value
    names = [name for name in inspect.signature(function).parameters if not name.startswith("_")]
    return [name for name in names if name not in ("self", "cls")]


def documented(args: str) -> list[str]:
    """Names at the start of the lines below "Args:": `name:`, `one, other:` or `**kwargs:`."""
    found = re.findall(r"^ {4}(\*{0,2}\w+(?:, \*{0,2}\w+)*):(?: |$)", args, flags=re.M)
    return [name.strip(" *") for names in found for name in names.split(",")]


def shortcomings(value: Callable, *, example: bool) -> Iterator[str]:
    documentation = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    if not documentation:
        yield "no docstring"
        return
    found = sections(documentation)
    summary = found[""].split("\n\n")[0].strip()
    if "\n" in summary or not summary.endswith((".", "?")):
        yield "the summary is not one sentence on one line"
    fields = (
        dataclasses.is_dataclass(value) and "Args" not in found
    )  # what holds results has attributes instead
    names = documented(found.get("Attributes" if fields else "Args", ""))
    if names != parameters(value):
        yield f"Args has {names}, the signature {parameters(value)}"
    if not inspect.isclass(value):
        returns = inspect.signature(value).return_annotation
        if returns not in (None, "None") and not {"Returns", "Yields"} & found.keys():
            yield "no Returns"
    elif issubclass(value, keras.layers.Layer):
        yield from (f"no {title}" for title in ("Input shape", "Output shape") if title not in found)
    if example and ">>> " not in found.get("Example", "") and "```" not in found.get("Example", ""):
        yield "no Example"


def untyped() -> Iterator[str]:
    """Functions and methods that take no tensor, and have a parameter or a result without a type."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            a = node.args
            given = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
            given = [argument for argument in given if argument.arg not in ("self", "cls")]
            if {argument.arg for argument in given} & TENSORS:
                continue
            if node.returns is None or any(argument.annotation is None for argument in given):
                yield f"{path.relative_to(PACKAGE.parent)}:{node.lineno} {node.name}"


@pytest.mark.parametrize("name", sorted(public()))
def test_public_classes_and_functions_are_documented(name):
    found = list(shortcomings(public()[name], example=True))
    assert not found, f"{name}: {'; '.join(found)}"


def test_public_methods_are_documented():
    found = {name: list(shortcomings(method, example=False)) for name, method in methods().items()}
    assert not any(found.values()), {name: faults for name, faults in found.items() if faults}


def test_functions_without_tensors_have_types():
    assert not list(untyped())
