"""Batch normalisation over a single value a channel: found before training, or frozen where that was asked for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import SettingsError
from kseg.layers import BatchNormalization, PyramidPooling
from kseg.training import Recipe, fit
from kseg.training.normalization import single_value_errors, single_value_layers


def network(level="kseg"):
    """A network with an image level, and batch normalisation of kseg or of Keras on it."""
    layer = BatchNormalization if level == "kseg" else keras.layers.BatchNormalization
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="body")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.BatchNormalization(name="norm")(x)
    y = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = layer(name="level")(y)
    x = PyramidPooling(2, (1, 2), name="pyramid")(keras.layers.Add()([x, y]))
    return keras.Model(image, keras.layers.Conv2D(3, 1)(x))


@pytest.mark.parametrize(
    ("size", "names"), [((8, 9), ["level", "bn_1"]), ((1, 1), ["norm", "level", "bn_1"])]
)
@pytest.mark.parametrize("level", ["kseg", "keras"])
def test_they_are_found_without_a_step(size, names, level):
    model = network(level)
    before = [np.array(weight) for weight in model.get_weights()]
    assert [layer.name for layer in single_value_layers(model, size)] == names
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.get_layer("level").trainable = False
    assert "level" not in [layer.name for layer in single_value_layers(model, size)]


@pytest.mark.parametrize(
    "changes", [{}, {"accumulate": 4}, {"size": None}, {"input_scales": None, "size": (1, 1)}]
)
def test_such_a_training_is_refused_before_it_begins(train, val, tmp_path, changes):
    recipe = Recipe(epochs=1, steps_per_epoch=1, batch_size=1, size=(8, 8)).replace(**changes)
    with pytest.raises(SettingsError, match=r"(?s)level.*Give a batch size of 2.*freeze_normalization"):
        fit(network(), recipe, train, val, tmp_path / "run", tensorboard=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("choice", "body_moves"), [("single_value", True), ("all", False)])
def test_or_the_statistics_are_frozen(train, tmp_path, choice, body_moves):
    model = network()
    recipe = Recipe(epochs=1, steps_per_epoch=2, batch_size=1, size=(8, 8), freeze_normalization=choice)
    fit(model, recipe, train, None, tmp_path, tensorboard=False, verbose=False)
    inner = {layer.name: layer for layer in model._flatten_layers()}
    np.testing.assert_array_equal(inner["level"].moving_variance, 1)
    np.testing.assert_array_equal(inner["bn_1"].moving_variance, 1)
    assert bool((np.asarray(inner["norm"].moving_variance) != 1).any()) is body_moves


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_kerass_own_fit_too(batch):
    """5 images: batches of 1, batches of 2 whose last has 1, and one batch."""
    model = network()
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = np.random.default_rng(0).uniform(0, 255, (5, 8, 8, 3)), np.zeros((5, 8, 8))
    if batch == 5:
        model.fit(images, labels, batch_size=batch, verbose=0)
        return
    with pytest.raises((SettingsError, tf.errors.InvalidArgumentError), match="single value a channel"):
        model.fit(images, labels, batch_size=batch, verbose=0)
    with (
        pytest.raises(SettingsError, match=r"^The batch normalisation of .* statistics\.$"),
        single_value_errors(),
    ):
        model.fit(images, labels, batch_size=batch, verbose=0)


def test_inference_takes_a_single_image():
    assert network().predict(np.zeros((1, 1, 1, 3)), verbose=0).shape == (1, 1, 1, 3)
