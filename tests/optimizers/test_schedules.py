"""The schedules against their formulas, step by step in plain Python."""

import keras
import numpy as np
import pytest

from kseg.optimizers.schedules import rate_of_last_step
from kseg.training import Poly, Step


def test_poly_is_the_formula():
    schedule = Poly(0.01, 100, power=0.9)
    for step in (0, 1, 37, 99):
        np.testing.assert_allclose(schedule(step), 0.01 * (1 - step / 100) ** 0.9, rtol=1e-5)
    np.testing.assert_array_equal(schedule(100), 0.0)
    np.testing.assert_array_equal(schedule(250), 0.0)


def test_warm_up_is_a_ramp():
    schedule = Poly(1.0, 1000, power=1.0, warmup_steps=4)
    expected = [0.25, 0.5 * 0.999, 0.75 * 0.998, 0.997, 0.996]
    np.testing.assert_allclose([schedule(step) for step in range(5)], expected, rtol=1e-6)
    np.testing.assert_allclose([Step(1.0, 100, 0.1, 2)(step) for step in range(3)], [0.5, 1, 1])


def test_step_falls_at_its_boundaries():
    schedule = Step(0.1, 10, 0.5)
    expected = [0.1 * 0.5 ** (step // 10) for step in range(40)]
    np.testing.assert_allclose([schedule(step) for step in range(40)], expected, rtol=1e-6)


@pytest.mark.parametrize("schedule", [Poly(0.3, 70, 0.7, 5), Step(0.3, 7, 0.2, 3)])
def test_config_round_trip(schedule):
    optimizer = keras.optimizers.SGD(schedule)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert again._learning_rate.get_config() == schedule.get_config()
    np.testing.assert_array_equal(again._learning_rate(9), schedule(9))


# Keras's LossScaleOptimizer steps outside of a training only on TensorFlow.
@pytest.mark.parametrize("scaled", [False, pytest.param(True, marks=pytest.mark.tensorflow)])
@pytest.mark.parametrize("rate", [Poly(0.3, 2, 1.0), 0.25])
def test_the_rate_of_the_last_step(rate, scaled):
    # Two steps of Poly(0.3, 2, 1.0) are taken with 0.3 and 0.15; the optimizer itself says 0.0 after them.
    expected = [0.3, 0.15] if isinstance(rate, Poly) else [0.25, 0.25]
    optimizer = keras.optimizers.SGD(rate)
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
    variable = keras.Variable(1.0)
    before = 1.0
    for step in range(2):
        optimizer.apply([keras.ops.convert_to_tensor(1.0)], [variable])
        np.testing.assert_allclose(rate_of_last_step(optimizer), expected[step], rtol=1e-6)
        np.testing.assert_allclose(before - float(variable.value), expected[step], rtol=1e-5)
        before = float(variable.value)


@pytest.mark.parametrize("make", [lambda: Poly(0.1, 0), lambda: Step(0.1, 0), lambda: Poly(0.1, 5, 1, -1)])
def test_steps_must_be_positive(make):
    with pytest.raises(ValueError, match="positive"):
        make()
