import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location(
    "benchmark_unpooling", ROOT / "tools" / "benchmark_unpooling.py"
)
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


def test_the_ratios_are_those_of_the_times(capsys):
    tool.unpooling((1, 8, 8, 4), repeats=3)
    said = capsys.readouterr().out
    times = {name: float(time) for name, time in re.findall(r"(kseg|scatter|torch) (\d+\.\d+) ms", said)}
    for name, ratio in re.findall(r"ratio to (\w+) (\d+\.\d+)", said):
        assert float(ratio) == pytest.approx(times[name] / times["kseg"], rel=0.3, abs=0.1)
    assert "ratio to scatter" in said


@pytest.mark.parity
def test_both_compute_the_same():
    """The gradient of the squares: twice the maxima, where they stand."""
    pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(1, 4, 6, 2)).astype("float32")
    theirs = tool._there_and_back_in_torch(x)().numpy().transpose(0, 2, 3, 1)
    windows = x.reshape(1, 2, 2, 3, 2, 2)
    expected = np.where(windows == windows.max((2, 4), keepdims=True), 2 * windows, 0).reshape(x.shape)
    np.testing.assert_allclose(theirs, expected, rtol=1e-6)
