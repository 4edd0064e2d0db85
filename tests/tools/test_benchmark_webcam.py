import importlib.util
import re
from pathlib import Path

import keras
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("benchmark_webcam", ROOT / "tools" / "benchmark_webcam.py")
benchmark = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(benchmark)


@pytest.mark.slow
def test_ratios_are_those_of_the_times(monkeypatch, capsys):
    image = keras.Input((None, None, 3))
    small = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    monkeypatch.setattr("kseg.models.presets", dict)
    monkeypatch.setattr("kseg.models.build", lambda name, classes: small)
    benchmark.webcam_speed(frames=6)
    said = capsys.readouterr().out
    times = {name: float(ms) for name, ms in re.findall(r"(int8|float32) +([\d.]+) ms", said)}
    ratios = {name: float(r) for name, r in re.findall(r"(int8|float32) +[\d.]+ ms, ([\d.]+) x", said)}
    assert ratios["int8"] == 1
    np.testing.assert_allclose(ratios["float32"], times["float32"] / times["int8"], atol=0.2, rtol=0.1)
    fps, alone, ratio = (
        float(v) for v in re.search(r"([\d.]+) fps, alone ([\d.]+), ratio ([\d.]+)", said).groups()
    )
    assert ratio == pytest.approx(fps / alone, abs=0.02)
