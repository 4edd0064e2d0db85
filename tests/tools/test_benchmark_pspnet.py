"""The PSPNet benchmark on tiny networks: it says what it measured; its figures are no test's business."""

import importlib.util
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    spec = importlib.util.spec_from_file_location("benchmark_pspnet", TOOLS / "benchmark_pspnet.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, value in (("SIZE", (17, 17)), ("CLASSES", 4), ("REPEATS", 3)):
        monkeypatch.setattr(module, name, value)
    yield module
    for name in ("measuring", "pspnet", "pspnet.pspnet_in_torch"):
        sys.modules.pop(name, None)


def small(name, classes):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(classes, 3, 8, padding="same")(image)
    return keras.Model(image, kseg.layers.ZoomLike(8, name="logits")([x, image]))


def test_tiles(tool, monkeypatch, capsys):
    monkeypatch.setattr(kseg.models, "build", small)
    tool.tiles(3, (40, 50))
    share = float(re.search(r"outside of the model (-?[\d.]+)%", capsys.readouterr().out)[1])
    assert 0 < share < 100


@pytest.mark.full
def test_a_step_trains_whole_and_strip_by_strip(tool, monkeypatch):
    losses = []
    for limit in (float("inf"), 0):
        monkeypatch.setattr(kseg.training.objective, "STRIP_BYTES", limit)
        keras.utils.set_random_seed(0)
        step = tool.kseg_step(small("", 4), kseg.training.Recipe(size=(17, 17), batch_size=2), 4)
        losses.append([float(np.asarray(step()[0])) for _ in range(2)])
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_ratios(tool, monkeypatch, capsys):
    figures = {"_kseg": (2.0, 1.0, 500.0), "_torch": (3.0, 0.5, 1000.0)}
    full = 2 * 17 * 17 * 4 * 4 / 2**20
    figures |= {"_loss_2": (10.0,), "_loss_whole": (10 + 3 * full,), "_loss_strips": (10 + full / 2,)}
    monkeypatch.setattr(tool, "figures", lambda program, name: figures[name])
    assert tool.main(["torch", "loss"]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"PyTorch / kseg, [\w ]+: ([\d.]+)", said) == ["1.50", "0.50", "2.00"]
    assert "whole 3.00, strip by strip 0.50" in said
    with pytest.raises(SystemExit):
        tool.main(["nosuch"])
