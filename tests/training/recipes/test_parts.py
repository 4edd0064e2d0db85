"""Optimizers and schedules of a recipe."""

import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.training import SGD, AdamW, OptimizerSettings, Poly, ScheduleSettings, Step
from kseg.training.recipes.parts import changed


def test_schedules():
    poly = ScheduleSettings("poly", 0.5, warmup_steps=1000, power=2.0).over(40)
    assert isinstance(poly, Poly)
    assert (poly.steps, poly.power, poly.warmup_steps) == (40, 2.0, 8)
    step = ScheduleSettings("step", step_every=7, warmup_steps=3).over(1000)
    assert isinstance(step, Step)
    assert (step.every, step.warmup_steps) == (7, 3)
    assert ScheduleSettings("constant", 0.25).over(10) == 0.25
    constant = ScheduleSettings("constant", 0.25, warmup_steps=4).over(100)
    np.testing.assert_allclose([float(constant(k)) for k in (0, 3, 50, 99)], [0.0625, 0.25, 0.25, 0.25])


def test_optimizers():
    sgd = OptimizerSettings("sgd", 0.8, 0.01, bias_multiplier=2.0).build(0.5, {})
    assert isinstance(sgd, SGD)
    assert (sgd.momentum, sgd.l2, sgd.bias_multiplier) == (0.8, 0.01, 2.0)
    adamw = OptimizerSettings(weight_decay=0.25).build(0.5, {"score": 10.0})
    assert isinstance(adamw, AdamW)
    assert (adamw.weight_decay, adamw.layer_multipliers) == (0.25, {"score": 10.0})


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (OptimizerSettings, {"name": "adam"}),
        (OptimizerSettings, {"momentum": 2}),
        (OptimizerSettings, {"weight_decay": "much"}),
        (ScheduleSettings, {"name": "cosine"}),
        (ScheduleSettings, {"name": "step"}),
        (ScheduleSettings, {"learning_rate": 0}),
        (ScheduleSettings, {"warmup_steps": 1.5}),
    ],
)
def test_what_is_refused(kind, changes):
    with pytest.raises(SettingsError, match=r"optimizer|schedule|momentum|weight_decay|learning_rate|warmup"):
        kind(**changes)


def test_unknown_settings_are_named():
    assert changed(ScheduleSettings(), {"power": 2}).power == 2
    with pytest.raises(SettingsError, match="has no setting gamma; there are name, learning_rate"):
        changed(ScheduleSettings(), {"gamma": 2})
