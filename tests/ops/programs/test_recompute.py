"""A function that is computed once more for its gradient: the gradient is that of calculus, and it ran twice."""

import keras
import numpy as np
import pytest
from keras import ops

from kseg.ops.programs.recompute import recomputed

X, W = np.array([0.5, -2.0, 3.0], "float32"), np.array([1.5, 0.25, -1.0], "float32")


def test_the_gradient_is_that_of_calculus(gradients):
    def function(x, w):
        results, rest = recomputed(lambda x, w: ([ops.sin(x) * w, ops.sum(w)], [ops.max(x)]))(x, w)
        return ops.sum(results[0] * results[0]) + 3 * results[1] + 0 * rest[0]

    of_x, of_w = gradients(function, X, W)
    np.testing.assert_allclose(of_x, 2 * np.sin(X) * np.cos(X) * W**2, rtol=1e-5)
    np.testing.assert_allclose(of_w, 2 * np.sin(X) ** 2 * W + 3, rtol=1e-5)


def test_a_result_that_nothing_asks_for(gradients):
    def function(x, w):
        return ops.sum(recomputed(lambda x, w: ([x * w, x + w], []))(x, w)[0][0])

    of_x, of_w = gradients(function, X, W)
    np.testing.assert_array_equal(of_x, W)
    np.testing.assert_array_equal(of_w, X)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX repeats what it traced, not the function")
def test_it_runs_a_second_time_for_the_gradient(gradients):
    calls = []

    def run(x):
        calls.append(0)
        return [x * x], []

    gradients(lambda x: ops.sum(recomputed(run)(x)[0][0]), X)
    assert len(calls) == 2
