"""The table of models has a row a model with its true counts; times are no test's business."""

import importlib.util
import sys
from pathlib import Path

import pytest

import kseg

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location("benchmark_models", TOOLS / "benchmark_models.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmark_models", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "NETWORKS", ())
    return module


@pytest.mark.slow
def test_a_row_for_every_preset(tool, capsys):
    tool.model_table(rounds=1)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| `")]
    assert len(rows) == len(kseg.models.presets())
    for row, (name, card) in zip(rows, kseg.models.presets().items(), strict=True):
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert cells[0] == f"`{name}`"
        assert int(cells[1].replace(",", "")) == card["parameters"]
        assert float(cells[5]) == round(card["files"]["int8"]["bytes"] / 1e6, 1)
