"""Networks whose random numbers are not drawn."""

import gc

import keras
import numpy as np
import pytest

from kseg.weights.undrawn import undrawn


def network(initializer):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(64, 3, kernel_initializer=initializer, name="a")(inputs)
    x = keras.layers.DepthwiseConv2D(3, depthwise_initializer=initializer, name="b")(x)
    return keras.Model(inputs, keras.layers.Dense(5, kernel_initializer=initializer, name="c")(x))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("he_normal", keras.initializers.HeNormal), ("glorot_uniform", keras.initializers.GlorotUniform)],
)
def test_kernels_are_zeros_and_the_initialisers_those_asked_for(name, kind):
    model = undrawn(lambda: network(name))
    assert not any(np.any(weight) for weight in model.get_weights())
    initializers = [model.get_layer(layer) for layer in "abc"]
    initializers = [getattr(i, "kernel_initializer", None) or i.depthwise_initializer for i in initializers]
    assert all(type(one) is kind for one in initializers)
    again = keras.models.clone_model(model)
    assert all(np.any(again.get_layer(layer).weights[0]) for layer in "abc")


def test_python_collects_garbage_afterwards_as_before():
    with pytest.raises(ZeroDivisionError):
        undrawn(lambda: 1 / 0)
    assert gc.isenabled()
