"""The compiled function around a model: one trace for all sizes, and what is read off a model."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from kseg.errors import KsegWarning, ModelError
from kseg.inference.forward import MEAN_COLOUR, Forward, mean_colour, output_stride
from kseg.layers import Normalize


def softmax(logits):
    """Over the last axis, by the formula."""
    powers = np.exp(np.asarray(logits, "float64"))
    return powers / powers.sum(-1, keepdims=True)


def images(*size, batch=1):
    return np.random.default_rng(0).integers(0, 256, (batch, *size, 3)).astype(np.float32)


def convolution(classes=5, size=(None, None), stride=1):
    image = keras.Input((*size, 3))
    return keras.Model(image, layers.Conv2D(classes, 3, stride, padding="same")(image / 255))


def test_one_trace_for_every_size_and_batch(monkeypatch):
    traces, call = [], Forward.call
    monkeypatch.setattr(Forward, "call", lambda self, image: traces.append(image.shape) or call(self, image))
    model = convolution()
    forward = Forward(model)
    for size, batch in [((8, 8), 1), ((9, 13), 1), ((1, 1), 1), ((8, 8), 3), ((20, 5), 2), ((6, 40), 1)]:
        x = images(*size, batch=batch)
        np.testing.assert_allclose(forward.run(x), softmax(model(x)), atol=1e-6)
    assert len(traces) == 1, traces


@pytest.mark.parametrize("flip", [False, True])
def test_labels_are_the_most_probable_classes(flip):
    model, x = convolution(), images(12, 15, batch=2)
    np.testing.assert_array_equal(
        Forward(model, flip, labels=True).run(x), Forward(model, flip).run(x).argmax(-1)
    )


def test_flip_averages_probabilities_not_logits():
    model, x = convolution(), images(6, 7)
    mirrored = softmax(model(x[:, :, ::-1]))[:, :, ::-1]
    expected = (softmax(model(x)) + mirrored) / 2
    np.testing.assert_allclose(Forward(model, flip=True).run(x), expected, atol=1e-6)


def test_a_coarse_map_is_resized_before_the_softmax():
    import cv2

    model, x = convolution(stride=4), images(16, 24)
    logits = cv2.resize(np.asarray(model(x))[0], (24, 16))
    np.testing.assert_allclose(Forward(model).run(x)[0], softmax(logits), atol=1e-5)


def test_a_model_that_needs_known_sizes_still_runs():
    """Keras's bilinear UpSampling2D cannot be traced with free sizes (keras 3.15)."""
    image = keras.Input((None, None, 3))
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(4, 3, 2, padding="same")(image))
    forward = Forward(keras.Model(image, x))
    with pytest.warns(KsegWarning, match="slower"):
        assert forward.run(images(8, 8)).shape == (1, 8, 8, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said once
        for size in [(9, 13), (16, 4)]:
            assert forward.run(images(*size)).shape == (1, *size, 4)


def test_a_size_that_the_model_cannot_take():
    image = keras.Input((None, None, 3))
    down = layers.Conv2D(4, 3, 2, padding="same")(image)
    model = keras.Model(
        image, layers.Add()([layers.Conv2DTranspose(4, 2, 2)(down), layers.Conv2D(4, 1)(image)])
    )
    forward = Forward(model)
    assert forward.run(images(8, 8)).shape == (1, 8, 8, 4)
    with pytest.raises(ModelError, match=r"9x13.*pad=True"):
        forward.run(images(9, 13))


def test_half_precision_model_gives_float32_probabilities():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(7, 1, dtype="mixed_float16")(image))
    found = Forward(model).run(images(5, 5))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)


def test_new_weights_are_seen():
    model, x = convolution(), images(5, 5)
    forward = Forward(model)
    before = forward.run(x)
    model.layers[-1].kernel.assign(-model.layers[-1].kernel)
    np.testing.assert_allclose(forward.run(x), softmax(model(x)), atol=1e-6)
    assert np.abs(forward.run(x) - before).max() > 1e-3


def test_mean_colour_and_output_stride():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(4, 1)(Normalize((10, 20, 30), (2, 2, 2))(image)))
    assert mean_colour(model) == (10, 20, 30)
    assert mean_colour(convolution()) == MEAN_COLOUR
    assert output_stride(model) == 1
    model.backbone = convolution()
    model.backbone.output_stride = 16
    assert output_stride(model) == 16
