"""The examples of docstrings run, and print what they say; `np`, `keras` and `kseg` stand imported."""

import doctest
import importlib
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

PACKAGE = Path(kseg.__file__).parent
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules_with_examples() -> list[str]:
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>> " in path.read_text("utf-8")]
    return [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in files]


@pytest.mark.docs
@pytest.mark.tensorflow
@pytest.mark.parametrize("name", modules_with_examples())
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name.removesuffix(".__init__"))
    found = doctest.testmod(module, extraglobs={"np": np, "keras": keras, "kseg": kseg}, optionflags=OPTIONS)
    assert not found.failed, f"{found.failed} of {found.attempted} lines of examples; see above"
