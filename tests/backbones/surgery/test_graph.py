import keras
import numpy as np
import pytest
from keras import layers

from kseg.backbones.surgery.graph import Copies, free_input, functional, rebuild
from kseg.errors import ModelError


def _copied(model):
    """A rebuilt model of free size, weights included."""
    graph, copies = functional(model), Copies()
    image = free_input(graph)
    outputs = rebuild(graph, image, lambda op, *args, **kwargs: copies(op)(*args, **kwargs))
    copies.fill()
    return keras.Model(image, outputs)


def _inner(name="inner"):
    return keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3, name="c"), layers.BatchNormalization(name="b")],
        name=name,
    )


def test_nested_models_become_one_graph():
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, layers.ReLU()(_inner()(image)))
    model.get_layer("inner").get_layer("b").moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    copy = _copied(model)
    assert not any(isinstance(layer, keras.Model) for layer in copy.layers)
    x = np.random.default_rng(0).normal(size=(1, 8, 8, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(copy(x)), np.asarray(model(x)))
    assert copy(np.zeros((1, 11, 9, 3))).shape == (1, 9, 7, 4)


def test_structured_outputs_stay():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 1)(image)
    assert set(_copied(keras.Model(image, {"a": x, "b": layers.ReLU()(x)})).output) == {"a", "b"}


def test_the_model_itself_is_left_alone():
    model = _inner()
    _copied(model)
    assert model.get_layer("c").output.shape == (None, 6, 6, 4)  # raises where a layer was called twice


def test_an_inner_model_of_another_kind_is_named():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    image = keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="odd"):
        functional(keras.Model(image, Subclassed(name="odd")(image)))
