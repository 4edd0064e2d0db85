"""Atrous convolution against Keras's own, against loops, and its gradients with oneDNN on and off."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kseg.errors import SettingsError
from kseg.ops.convolution import atrous_conv2d, pointwise_conv2d

CASES = [
    (3, 2, "same"),
    (3, 2, "valid"),
    (3, 4, "same"),
    ((2, 4), (3, 2), "same"),
    ((1, 3), (2, 5), "same"),
    (3, 1, "same"),
]


def _inputs(taps, dtype="float32", filters=4):
    rng = np.random.default_rng(0)
    taps = (taps, taps) if isinstance(taps, int) else taps
    return rng.normal(size=(2, 11, 14, 3)).astype(dtype), rng.normal(size=(*taps, 3, filters)).astype(dtype)


def _loop(x, kernel, rate, padding):
    """The definition: y[p] = sum over taps of x[p + rate * tap] * kernel[tap], zeros outside the map."""
    spans = [(k - 1) * r for k, r in zip(kernel.shape[:2], rate, strict=True)]
    if padding == "same":
        x = np.pad(x, [(0, 0), *((s // 2, s - s // 2) for s in spans), (0, 0)])
    height, width = (n - s for n, s in zip(x.shape[1:3], spans, strict=True))
    y = np.zeros((x.shape[0], height, width, kernel.shape[3]))
    for i, j in np.ndindex(kernel.shape[:2]):
        seen = x[:, i * rate[0] : i * rate[0] + height, j * rate[1] : j * rate[1] + width]
        y += seen.astype("float64") @ kernel[i, j].astype("float64")
    return y


@pytest.mark.parametrize(("taps", "rate", "padding"), CASES)
def test_values_are_those_of_the_definition(taps, rate, padding):
    x, kernel = _inputs(taps)
    pair = (rate, rate) if isinstance(rate, int) else rate
    np.testing.assert_allclose(
        atrous_conv2d(x, kernel, rate, padding), _loop(x, kernel, pair, padding), atol=1e-5
    )


@pytest.mark.tensorflow
@pytest.mark.parametrize(("taps", "rate", "padding"), CASES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("filters", [2, 4])  # fewer and more than channels: two ways to the gradients
def test_values_and_gradients_are_those_of_keras(taps, rate, padding, known, filters):
    x, kernel = (tf.constant(t) for t in _inputs(taps, filters=filters))
    upstream = np.random.default_rng(1).normal(
        size=_loop(*_inputs(taps, filters=filters), np.broadcast_to(rate, 2), padding).shape
    )

    def gradients(convolution):
        def run(x, kernel):
            with tf.GradientTape() as tape:
                tape.watch([x, kernel])
                y = convolution(x, kernel)
                loss = tf.reduce_sum(y * tf.cast(upstream, y.dtype))
            return y, *tape.gradient(loss, [x, kernel])

        shape = (2, 11, 14, 3) if known else (None, None, None, 3)
        return tf.function(run, input_signature=[tf.TensorSpec(shape), tf.TensorSpec(kernel.shape)])(
            x, kernel
        )

    ours = gradients(lambda x, kernel: atrous_conv2d(x, kernel, rate, padding))
    keras_own = gradients(lambda x, kernel: keras.ops.conv(x, kernel, 1, padding, dilation_rate=rate))
    for mine, theirs in zip(ours, keras_own, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    x, kernel = _inputs(3)
    y = atrous_conv2d(ops.cast(x, dtype), ops.cast(kernel, dtype), 2)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    np.testing.assert_allclose(ops.cast(y, "float32"), _loop(x, kernel, (2, 2), "same"), atol=0.2)


@pytest.mark.tensorflow
@pytest.mark.parametrize("filters", [2, 4])
@pytest.mark.parametrize("first", [0, 1])
def test_second_gradients(filters, first):
    """Of the gradient with respect to the input too, whose own gradient TensorFlow's kernels refuse on a CPU."""
    x, kernel = (tf.constant(t) for t in _inputs(3, filters=filters))

    def second(convolution):
        with tf.GradientTape() as outer:
            outer.watch([x, kernel])
            with tf.GradientTape() as tape:
                tape.watch([x, kernel])
                loss = tf.reduce_sum(convolution(x, kernel) ** 2)
            slope = tf.reduce_sum(tape.gradient(loss, [x, kernel])[first] ** 2)
        return outer.gradient(slope, [x, kernel])

    want = second(lambda x, kernel: keras.ops.conv(x, kernel, 1, "same", dilation_rate=2))
    found = second(lambda x, kernel: atrous_conv2d(x, kernel, 2))
    for mine, theirs in zip(found, want, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.tensorflow
def test_compiles_with_gradients():
    x, kernel = (tf.constant(t) for t in _inputs(3))

    @tf.function(jit_compile=True)
    def run(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch(kernel)
            loss = tf.reduce_sum(atrous_conv2d(x, kernel, 2) ** 2)
        return tape.gradient(loss, kernel)

    with tf.GradientTape() as tape:
        tape.watch(kernel)
        loss = tf.reduce_sum(keras.ops.conv(x, kernel, 1, "same", dilation_rate=2) ** 2)
    np.testing.assert_allclose(run(x, kernel), tape.gradient(loss, kernel), rtol=1e-4)


_TRAIN = """
import numpy as np, keras, kseg, sys
keras.utils.set_random_seed(0)
from kseg.layers import AtrousConv2D
m = keras.Sequential([keras.Input((None, None, 2)), AtrousConv2D(4, 3, 2), AtrousConv2D(1, 3, 3)])
m.compile(keras.optimizers.SGD(0.01), "mse")
x = np.random.default_rng(0).normal(size=(4, 9, 9, 2)).astype("float32")
m.fit(x, x[..., :1], epochs=2, batch_size=2, shuffle=False, verbose=0)
np.save(sys.argv[1], np.concatenate([w.ravel() for w in m.get_weights()]))
"""


@pytest.mark.slow
def test_training_is_the_same_with_onednn_on_and_off(tmp_path):
    weights = []
    for flag in "01":
        file = tmp_path / f"{flag}.npy"
        environment = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": flag}
        subprocess.run(
            [sys.executable, "-c", _TRAIN, str(file)], env=environment, check=True, capture_output=True
        )
        weights.append(np.load(file))
    np.testing.assert_allclose(*weights, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rate", [0, -2, (2,), (1, 0), "3", "12", 2.0, (2.5, 2), None])
def test_rates_that_are_none_are_refused(rate):
    with pytest.raises(SettingsError, match="rate"):
        atrous_conv2d(*_inputs(3), rate)


def test_a_filter_larger_than_the_map_is_refused():
    with pytest.raises(SettingsError, match="spans 13 places and does not fit a map of 11"):
        atrous_conv2d(*_inputs(3), 6, "valid")


def test_numpy_integers_are_rates():
    x, kernel = _inputs(3)
    np.testing.assert_array_equal(atrous_conv2d(x, kernel, np.int64(2)), atrous_conv2d(x, kernel, 2))


@pytest.mark.parametrize("padding", ["SAME", "causal", None])
def test_other_paddings_are_refused(padding):
    with pytest.raises(SettingsError, match="`padding` must be 'same' or 'valid'"):
        atrous_conv2d(*_inputs(3), 2, padding)


@pytest.mark.tensorflow
@pytest.mark.parametrize("shape", [(2, 11, 14, 3), (None, None, None, 3), (2, 1, 1, 3)])
def test_a_pointwise_convolution_and_its_gradients_are_matrix_products(shape):
    rng = np.random.default_rng(0)
    sides = [side or 7 for side in shape]
    x, kernel = rng.normal(size=sides).astype("f4"), rng.normal(size=(1, 1, 3, 5)).astype("f4")
    upstream = rng.normal(size=(*sides[:3], 5)).astype("f4")

    @tf.function(input_signature=[tf.TensorSpec(shape), tf.TensorSpec(kernel.shape)], autograph=False)
    def step(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = pointwise_conv2d(x, kernel)
            total = tf.reduce_sum(y * upstream)
        return y, *tape.gradient(total, [x, kernel])

    y, to_x, to_kernel = step(x, kernel)
    operations = {node.op for node in step.get_concrete_function().graph.as_graph_def().node}
    assert "Conv2DBackpropFilter" not in operations
    exact = x.astype("f8"), kernel[0, 0].astype("f8"), upstream.astype("f8")
    np.testing.assert_allclose(y, exact[0] @ exact[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(to_x, exact[2] @ exact[1].T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(to_kernel[0, 0], np.einsum("bhwi,bhwo->io", exact[0], exact[2]), rtol=1e-4, atol=1e-4)


@pytest.mark.tensorflow
def test_second_gradients_of_a_pointwise_convolution():
    x, kernel = (tf.constant(t) for t in _inputs(1))

    def second(convolution):
        @tf.function(autograph=False)
        def run():
            with tf.GradientTape() as outer:
                outer.watch([x, kernel])
                with tf.GradientTape() as tape:
                    tape.watch([x, kernel])
                    loss = tf.reduce_sum(convolution(x, kernel) ** 3)
                slopes = tape.gradient(loss, [x, kernel])
                total = sum(tf.reduce_sum(slope**2) for slope in slopes)
            return outer.gradient(total, [x, kernel])

        return run()

    for mine, theirs in zip(second(pointwise_conv2d), second(lambda x, k: ops.conv(x, k)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-2)
