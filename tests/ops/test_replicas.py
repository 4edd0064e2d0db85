"""Sums over replicas: one device here, two in a process of their own."""

import subprocess
import sys

import numpy as np
import pytest

from kseg.ops.replicas import sum_over_replicas

TWO = """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import keras, numpy as np
from kseg.losses import CrossEntropy
from kseg.training import SGD
random = np.random.default_rng(0)
images = random.normal(size=(4, 6, 6, 3)).astype("float32")
labels = random.integers(0, 3, (4, 6, 6)).astype("uint8")
labels[:2, :5] = 255  # the first replica has few valid pixels
def trained(strategy):
    with strategy.scope():
        keras.utils.set_random_seed(1)
        image = keras.Input((6, 6, 3))
        model = keras.Model(image, keras.layers.Conv2D(3, 3, padding="same")(image))
        model.compile(SGD(0.5), CrossEntropy(class_weights=(1, 2, 3)))
    data = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)
    losses = [model.fit(data, verbose=0).history["loss"][0] for _ in range(3)]
    return [np.array(losses), *model.get_weights()]
one = trained(tf.distribute.get_strategy())
two = trained(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
for left, right in zip(one, two):
    np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)
"""


def test_one_device():
    np.testing.assert_array_equal(sum_over_replicas(3.0), 3.0)


@pytest.mark.slow
def test_two_replicas_train_like_one_device():
    done = subprocess.run([sys.executable, "-c", TWO], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
