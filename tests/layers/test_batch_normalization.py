import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.layers import BatchNormalization

SETTINGS = {"epsilon": 1e-3, "momentum": 0.8}


def twins(**settings):
    """kseg's layer and Keras's with the same random weights."""
    rng = np.random.default_rng(0)
    pair = [cls(**SETTINGS, **settings) for cls in (BatchNormalization, keras.layers.BatchNormalization)]
    for layer in pair:
        layer.build((None, None, None, 4))
    weights = [rng.uniform(0.5, 2, w.shape).astype("float32") for w in pair[1].weights]
    for layer in pair:
        layer.set_weights(weights)
    return pair


def step(layer, x, seed):
    """One training pass: output, gradients of input and weights, and the weights afterwards."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * seed)
    gradients = tape.gradient(loss, [x, *layer.trainable_variables])
    return [y, *gradients, *layer.get_weights()]


@pytest.mark.tensorflow
@pytest.mark.parametrize("shape", [(3, 5, 7, 4), (1, 1, 2, 4), (2, 16, 16, 4)])
def test_a_training_step_is_kerass(shape):
    rng = np.random.default_rng(1)
    x, seed = (tf.constant(rng.normal(3, 2, shape), tf.float32) for _ in range(2))
    for ours, theirs in zip(*(step(layer, x, seed) for layer in twins()), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-4)


def test_statistics_are_numpys():
    x = np.random.default_rng(2).normal(3, 2, (2, 3, 5, 4)).astype("float32")
    layer = BatchNormalization(momentum=0.9)
    layer(x, training=True)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("trainable", [True, False])
def test_inference_and_frozen_layers_use_moving_statistics(trainable):
    x = np.random.default_rng(3).normal(size=(2, 3, 5, 4)).astype("float32")
    ours, theirs = twins()
    ours.trainable = theirs.trainable = trainable
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-6)
    if not trainable:
        before = ours.get_weights()
        np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), rtol=1e-6)
        np.testing.assert_array_equal(np.concatenate(before), np.concatenate(ours.get_weights()))


def test_half_precision():
    layer = BatchNormalization(dtype="mixed_bfloat16")
    x = np.random.default_rng(4).normal(3, 2, (2, 8, 8, 4)).astype("float32")
    y = np.asarray(keras.ops.cast(layer(x, training=True), "float32"))
    assert keras.backend.standardize_dtype(layer(x, training=True).dtype) == "bfloat16"
    np.testing.assert_allclose(y, (x - x.mean((0, 1, 2))) / x.std((0, 1, 2)), atol=0.06)


@pytest.mark.parametrize("settings", [{"scale": False}, {"axis": 1}, {"center": False}])
def test_other_settings_take_kerass_path(settings):
    x = np.random.default_rng(5).normal(size=(2, 4, 6, 4)).astype("float32")
    ours, theirs = BatchNormalization(**settings), keras.layers.BatchNormalization(**settings)
    np.testing.assert_allclose(ours(x, training=True), theirs(x, training=True), atol=1e-6)


def test_config_round_trip():
    layer = BatchNormalization(momentum=0.7, epsilon=0.1, name="bn")
    assert BatchNormalization.from_config(layer.get_config()).get_config() == layer.get_config()
    assert isinstance(layer, keras.layers.BatchNormalization)


TWO = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from kseg.layers import BatchNormalization, PyramidPooling
random = np.random.default_rng(0)
images = random.normal(size=(4, 6, 6, 3)).astype("float32")
images[2:] += 3  # the second replica sees another world
def trained(strategy, synchronized):
    with strategy.scope():
        keras.utils.set_random_seed(1)
        image = keras.Input((6, 6, 3))
        x = BatchNormalization(momentum=0.5, synchronized=synchronized)(image)
        x = PyramidPooling(4, (1, 2), momentum=0.5, synchronized=synchronized)(x)
        model = keras.Model(image, keras.layers.Conv2D(1, 1)(x))
        model.compile("sgd", "mse")
    data = tf.data.Dataset.from_tensor_slices((images, images[..., :1] ** 2)).batch(4)
    model.fit(data, epochs=2, verbose=0)
    return model.get_weights()
one = trained(tf.distribute.get_strategy(), False)
mirrored = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for left, right in zip(one, trained(mirrored, True)):
    np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-4)
apart = [np.abs(left - right).max() for left, right in zip(one, trained(mirrored, False))]
assert max(apart) > 0.05, apart
"""


@pytest.mark.slow
@pytest.mark.tensorflow
def test_synchronised_on_two_replicas_is_one_device():
    done = subprocess.run([sys.executable, "-c", TWO], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
