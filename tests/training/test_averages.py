"""Averages against the plain formula."""

import numpy as np

from kseg.training.averages import Averages


def test_the_formula_and_back(network):
    model = network()
    first = [v.numpy() for v in model.variables if v.dtype == "float32"]
    averages = Averages(model, 0.6)
    expected, random = first, np.random.default_rng(0)
    for step in range(1, 9):
        for variable in model.variables:
            if variable.dtype == "float32":
                variable.assign(random.normal(size=variable.shape))
        averages.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        now = [v.numpy() for v in model.variables if v.dtype == "float32"]
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, now, strict=True)]
    assert decay == 0.5
    with averages.applied():
        inside = [v.numpy() for v in model.variables if v.dtype == "float32"]
    for one, two in zip(inside, expected, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)
    for one, two in zip([v.numpy() for v in model.variables if v.dtype == "float32"], now, strict=True):
        np.testing.assert_array_equal(one, two)


def test_they_come_back_from_arrays(network):
    model = network()
    averages = Averages(model, 0.9)
    model.get_layer("norm").moving_mean.assign(np.arange(8.0))
    averages.update(1)
    other = Averages(network(), 0.9)
    other.from_arrays(averages.to_arrays())
    for one, two in zip(other.values, averages.values, strict=True):
        np.testing.assert_array_equal(one, two)
    assert any(np.any(value.numpy() > 1) for value in other.values)  # batch normalisation's means are in it
