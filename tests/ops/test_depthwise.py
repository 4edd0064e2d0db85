"""Depthwise convolution in a training step: Keras's own, in values and in both gradients."""

import keras
import numpy as np
import pytest

from kseg.ops import depthwise
from kseg.ops.depthwise import depthwise_conv2d

RANDOM = np.random.default_rng(0)
CASES = {  # size, taps, padding, rate
    "dilated": ((9, 12), (5, 3), "same", 2),
    "dilated by two rates": ((12, 15), (3, 3), "same", (3, 2)),
    "dilated, valid": ((12, 13), (3, 3), "valid", 2),
    "dilated, valid, even": ((12, 13), (2, 4), "valid", (3, 2)),
    "taps beyond the map": ((4, 7), (3, 3), "same", 6),
    "only the middle tap": ((4, 5), (3, 3), "same", 9),
}
QUICK = ("dilated", "dilated, valid", "taps beyond the map")


def in_a_step(convolve, x, kernel, weights):
    """What a compiled training step has of a convolution, and the types of the operations in its graph."""
    import tensorflow as tf

    @tf.function(autograph=False)
    def step(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch((x, kernel))
            y = convolve(x, kernel)
            loss = tf.reduce_sum(y * weights)
        return y, *tape.gradient(loss, (x, kernel))

    given = tf.constant(x), tf.constant(kernel)
    graph = step.get_concrete_function(*given).graph
    return [one.numpy() for one in step(*given)], [one.type for one in graph.get_operations()]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "case", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in CASES]
)
def test_a_training_step_is_that_of_keras(case, monkeypatch):
    monkeypatch.setattr(depthwise, "LEAST_PIXELS", 1)
    size, taps, padding, rate = CASES[case]
    x = RANDOM.normal(size=(2, *size, 3)).astype("float32")
    kernel = RANDOM.normal(size=(*taps, 3, 1)).astype("float32")

    def plain(x, kernel):
        return keras.ops.depthwise_conv(x, kernel, 1, padding, "channels_last", rate)

    weights = RANDOM.normal(size=plain(x, kernel).shape).astype("float32")
    found, kinds = in_a_step(lambda x, k: depthwise_conv2d(x, k, 1, padding, rate), x, kernel, weights)
    expected, _ = in_a_step(plain, x, kernel, weights)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    # it has not been left to Keras
    assert "BatchToSpaceND" not in kinds


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_elsewhere_it_is_the_operation_of_keras(dtype):
    x = keras.ops.cast(RANDOM.normal(size=(1, 9, 9, 2)), dtype)
    kernel = keras.ops.cast(RANDOM.normal(size=(5, 5, 2, 2)), dtype)
    found = depthwise_conv2d(x, kernel, 1, "same", 2)
    expected = keras.ops.depthwise_conv(x, kernel, 1, "same", "channels_last", 2)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(found), keras.ops.convert_to_numpy(expected))


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("size", "multiplier", "dtype"),
    [(None, 1, "float32"), (12, 2, "float32"), (12, 1, "bfloat16"), (9, 1, "float32")],
)
def test_what_is_left_to_keras_in_a_step(size, multiplier, dtype):
    import tensorflow as tf

    kernel = tf.ones((3, 3, 3, multiplier), dtype)

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), dtype)], autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = depthwise_conv2d(x, kernel, 1, "same", 2)
        return tape.gradient(y, x)

    shape = (1, size or 12, size or 12, 3)
    assert step(tf.ones(shape, dtype)).shape == shape
    kinds = [one.type for one in step.get_concrete_function().graph.get_operations()]
    assert "DepthwiseConv2dNative" in kinds
