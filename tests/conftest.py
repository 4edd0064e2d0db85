"""Shared fixtures: the real pictures' folder, and a seed for every test."""

import os
from pathlib import Path

import keras
import numpy as np
import pytest


def pytest_collection_modifyitems(items):
    if keras.backend.backend() == "tensorflow":
        return
    skip = pytest.mark.skip(reason=f"of TensorFlow's own engine; Keras runs on {keras.backend.backend()}")
    for item in items:
        if item.get_closest_marker("tensorflow"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def gradients():
    """``gradients(function, *arrays)``: of a scalar function of ``keras.ops``, with respect to each array."""

    def on_tensorflow(function, *arrays):
        import tensorflow as tf

        tensors = [tf.convert_to_tensor(array) for array in arrays]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            value = function(*tensors)
        return [np.asarray(gradient) for gradient in tape.gradient(value, tensors)]

    def on_jax(function, *arrays):
        import jax

        found = jax.grad(lambda parts: function(*parts))([jax.numpy.asarray(array) for array in arrays])
        return [np.asarray(gradient) for gradient in found]

    return {"tensorflow": on_tensorflow, "jax": on_jax}[keras.backend.backend()]


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real pictures (``KSEG_DATA``, or ``../shared/data`` beside the checkout)."""
    default = Path(__file__).parents[2] / "shared" / "data"
    root = Path(os.environ.get("KSEG_DATA", default))
    if not (root / "camvid").is_dir():
        pytest.skip(
            f"no real pictures at {root}: set KSEG_DATA to a folder that holds camvid/ and voc_people/"
        )
    return root
