"""One update of a variable against the formulas of the papers in float64."""

import keras
import numpy as np
import pytest

from kseg.ops import updates

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's operations; the others have Keras's code"
)


def drawn(seed):
    return np.random.default_rng(seed).normal(size=(3, 5)).astype("float32")


def test_adam_is_the_papers_step():
    """Kingma and Ba, "Adam", algorithm 1 in its quicker order (section 2), at step 3."""
    weight, first, second, gradient = drawn(0), drawn(1), np.abs(drawn(2)), drawn(3)
    variables = [keras.Variable(value) for value in (weight, first, second)]
    beta_1, beta_2, rate, epsilon = 0.8, 0.9, 0.02, 1e-3
    powers = updates.adam_powers(keras.ops.convert_to_tensor(2), beta_1, beta_2)
    handle = variables[0].value
    gradient = keras.ops.convert_to_tensor(gradient)
    assert updates.one_operation(handle, gradient)
    updates.adam(handle, *variables[1:], powers, rate, (beta_1, beta_2), epsilon, gradient)
    first = beta_1 * first.astype("f8") + (1 - beta_1) * np.asarray(gradient, "f8")
    second = beta_2 * second.astype("f8") + (1 - beta_2) * np.asarray(gradient, "f8") ** 2
    alpha = rate * np.sqrt(1 - beta_2**3) / (1 - beta_1**3)
    expected = weight - alpha * first / (np.sqrt(second) + epsilon), first, second
    for found, wanted in zip(variables, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_is_that_of_sutskever(nesterov):
    weight, velocity, gradient = drawn(0), drawn(1), drawn(2)
    variables = [keras.Variable(value) for value in (weight, velocity)]
    of_graph = keras.ops.convert_to_tensor(gradient)
    updates.momentum(variables[0].value, variables[1], 0.02, 0.9, nesterov, of_graph)
    velocity = 0.9 * velocity.astype("f8") - 0.02 * gradient
    step = 0.9 * velocity - 0.02 * gradient if nesterov else velocity
    for found, wanted in zip(variables, (weight + step, velocity), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-6)


def test_what_one_operation_cannot_update():
    import tensorflow as tf

    weight, half = keras.Variable(drawn(0)), keras.Variable(drawn(0), dtype="float16")
    rows = tf.IndexedSlices(tf.ones((1, 5)), tf.constant([1]), tf.constant([3, 5]))
    assert not updates.one_operation(weight.value, rows)
    assert not updates.one_operation(half.value, tf.ones((3, 5), tf.float16))
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert not updates.one_operation(weight.value, tf.ones((3, 5)))
