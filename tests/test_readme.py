"""The README's script runs as printed, on fewer pictures."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

README = Path(__file__).parents[1] / "README.md"


def block(marker):
    found = re.search(rf"<!-- {marker} -->\n```\w+\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"README.md has no block after <!-- {marker} -->"
    return found[1]


@pytest.mark.docs
def test_script_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(kseg.data.Dataset, "__len__", lambda self: 8)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(block("script"), "README.md", "exec"), names)
    assert names["labels"].shape == names["image"].shape[:2]
    assert names["labels"].dtype == np.uint8
    assert names["labels"].max() < names["model"].num_classes
    assert keras.saving.load_model(tmp_path / "shapes.keras").classes == names["train"].classes


def test_script_is_about_twenty_lines():
    assert len(block("script").strip().splitlines()) <= 26


@pytest.mark.parametrize("marker", ["demo", "tests"])
def test_commands_make_their_own_environment(marker):
    assert block(marker).startswith("python3 -m venv .venv && ")
