import keras
import numpy as np
import pytest
from keras import layers

from kseg.errors import DataError, ModelError
from kseg.layers import BatchNormalization
from kseg.training import reestimate_batch_norm


def network():
    """Two normalised layers, the second in a nested model, with dropout between them."""
    inner_input = keras.Input((None, None, 4))
    inner = keras.Model(inner_input, layers.BatchNormalization(name="second", epsilon=1e-3)(inner_input))
    image = keras.Input((None, None, 3))
    x = BatchNormalization(name="first", epsilon=1e-3)(image)
    x = layers.Dropout(0.5)(x)
    x = layers.Conv2D(4, 1, use_bias=False, name="mix")(x)
    return keras.Model(image, inner(x)), inner


def batches(count=3):
    random = np.random.default_rng(0)
    return [random.normal(5 + i, 1 + i, (2, 5 + i, 4, 3)).astype("float32") for i in range(count)]


def test_statistics_are_those_of_a_plain_loop():
    model, inner = network()
    kernel = np.asarray(model.get_layer("mix").kernel)[0, 0]
    first, second = [], []
    for batch in batches():
        values = batch.reshape(-1, 3).astype("float64")
        first.append((values.mean(0), values.var(0, ddof=1)))
        mixed = (values - values.mean(0)) / np.sqrt(values.var(0) + 1e-3) @ kernel
        second.append((mixed.mean(0), mixed.var(0, ddof=1)))
    assert reestimate_batch_norm(model, batches()) == 3
    for layer, expected in ((model.get_layer("first"), first), (inner.get_layer("second"), second)):
        mean, variance = (np.mean(values, axis=0) for values in zip(*expected, strict=True))
        np.testing.assert_allclose(np.asarray(layer.moving_mean), mean, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(np.asarray(layer.moving_variance), variance, rtol=1e-4)


def test_the_layers_are_as_before_otherwise():
    model, _ = network()
    weights = [np.asarray(v) for v in model.trainable_variables]
    reestimate_batch_norm(model, ((batch, None) for batch in batches()), steps=2)
    np.testing.assert_equal([np.asarray(v) for v in model.trainable_variables], weights)
    layer, statistics = model.get_layer("first"), np.asarray(model.get_layer("first").moving_mean)
    assert layer.momentum == 0.99
    model(batches()[0], training=False)
    np.testing.assert_array_equal(np.asarray(layer.moving_mean), statistics)


def test_steps_and_progress():
    model, _ = network()
    seen = []
    assert reestimate_batch_norm(model, batches(), steps=2, progress=lambda *at: seen.append(at)) == 2
    assert seen == [(1, 2), (2, 2)]


def test_frozen_layers_keep_their_statistics():
    model, inner = network()
    inner.trainable = False
    reestimate_batch_norm(model, batches())
    np.testing.assert_array_equal(np.asarray(inner.get_layer("second").moving_mean), np.zeros(4))
    assert np.asarray(model.get_layer("first").moving_mean).min() > 1


@pytest.mark.parametrize("bad", [[], [np.full((1, 4, 4, 3), np.nan, "float32")]])
def test_refusals_leave_the_model_unchanged(bad):
    model, _ = network()
    with pytest.raises(DataError, match=r"got none|not finite"):
        reestimate_batch_norm(model, bad)
    np.testing.assert_array_equal(np.asarray(model.get_layer("first").moving_mean), np.zeros(3))


def test_a_model_without_batch_normalisation_is_refused():
    image = keras.Input((None, None, 3))
    with pytest.raises(ModelError, match="no trainable batch"):
        reestimate_batch_norm(keras.Model(image, layers.ReLU()(image)), batches())
