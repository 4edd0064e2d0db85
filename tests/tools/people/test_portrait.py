"""The training of `people_portrait`, on a tiny network and for a step: what is trained, and from what."""

import importlib
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg.training import RECIPES

TOOLS = Path(__file__).resolve().parents[3] / "tools" / "people"


@pytest.fixture
def portrait(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    yield importlib.import_module("portrait")
    for name in ("portrait", "framed", "framing", "average_weights"):
        sys.modules.pop(name, None)


def tiny(name, classes):
    image = keras.Input((None, None, 3))
    return keras.Model(
        image, keras.layers.Conv2D(classes, 3, padding="same", name="score")(image), name="tiny"
    )


@pytest.mark.full
def test_the_mean_of_two_runs_of_which_the_second_goes_on(portrait, people_root, tmp_path, monkeypatch):
    monkeypatch.setattr(kseg.models, "build", tiny)
    for name in ("people_lite0", "people_lite0_longer"):
        small = {"size": (32, 32), "batch_size": 2, "epochs": 1, "steps_per_epoch": 1, "validate_every": 1}
        monkeypatch.setitem(
            RECIPES, name, RECIPES[name].replace(frozen_stages=None, head_multiplier=1.0, **small)
        )
    assert portrait.main([str(people_root), "--out", str(tmp_path / "runs")]) == 0
    first, longer, mean = (
        kseg.models.load(tmp_path / "runs" / name).get_weights()
        for name in ("people/best.keras", "longer/last.keras", "mean.keras")
    )
    for one, two, both in zip(first, longer, mean, strict=True):
        assert 0 < np.abs(one - two).max() < 0.01  # a step of AdamW at this rate away from where it started
        np.testing.assert_allclose(both, (one + two) / 2, rtol=1e-6, atol=1e-7)
