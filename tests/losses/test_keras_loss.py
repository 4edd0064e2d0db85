"""Keras's losses with an ignored label, by NumPy and by torch's way to average."""

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import KerasLoss

RNG = np.random.default_rng(3)
LABELS = RNG.choice([0, 1, 2, 255], (2, 4, 5)).astype("uint8")
LOGITS = RNG.normal(size=(2, 4, 5, 3)).astype("float32")
WEIGHTS = (0.5, 1.0, 3.0)


def squared(labels, logits):
    """One number a pixel: the squared distance of the true class's logit to 1."""
    true = keras.ops.take_along_axis(logits, keras.ops.expand_dims(labels, -1), axis=-1)
    return keras.ops.square(keras.ops.squeeze(true, -1) - 1)


def expected(of_pixel, weights=(1, 1, 1)):
    total = norm = 0.0
    for label, logits in zip(LABELS.ravel(), LOGITS.reshape(-1, 3).astype(np.float64), strict=True):
        if label != 255:
            total, norm = total + weights[label] * of_pixel(label, logits), norm + weights[label]
    return total / norm


def cross_entropy(label, logits):
    return np.log(np.exp(logits).sum()) - logits[label]


@pytest.mark.parametrize(
    ("loss", "of_pixel"),
    [
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), cross_entropy),
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255), cross_entropy),
        (squared, lambda label, logits: (logits[label] - 1) ** 2),
    ],
)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_mean_is_over_labelled_pixels(loss, of_pixel, weights):
    found = KerasLoss(loss, class_weights=weights)
    np.testing.assert_allclose(found(LABELS, LOGITS), expected(of_pixel, weights or (1, 1, 1)), rtol=1e-5)
    share = found.weight(LABELS, 3)
    np.testing.assert_allclose(
        share, sum((weights or (1, 1, 1))[k] for k in LABELS[LABELS != 255]), rtol=1e-6
    )


def test_sample_weights_and_nothing_labelled():
    loss = KerasLoss(squared)
    halves = np.stack([np.full((4, 5), 3.0), np.full((4, 5), 0.5)])
    np.testing.assert_allclose(loss(LABELS, LOGITS, [3.0, 0.5]), loss(LABELS, LOGITS, halves), rtol=1e-6)
    assert float(loss(np.full((1, 2, 2), 255), np.ones((1, 2, 2, 3)))) == 0


class OfMaps(keras.losses.Loss):
    """One number for the batch: the mean probability of class 0."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.softmax(y_pred, axis=-1)[..., 0])


def test_a_loss_of_whole_maps_must_know_the_ignored_label():
    with pytest.raises(SettingsError, match="no `ignore_label` of its own"):
        KerasLoss(OfMaps(name="maps"))(LABELS, LOGITS)
    known = OfMaps()
    known.ignore_label = 255
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    np.testing.assert_allclose(KerasLoss(known)(LABELS, LOGITS), probabilities[..., 0].mean(), rtol=1e-5)
    everywhere = KerasLoss(OfMaps(), ignore_label=None)
    np.testing.assert_allclose(everywhere(LABELS * 0, LOGITS), probabilities[..., 0].mean(), rtol=1e-5)
    assert float(everywhere.weight(LABELS, 3)) == 1
    with pytest.raises(SettingsError, match="no number for each pixel"):
        KerasLoss(known, class_weights=WEIGHTS)(LABELS, LOGITS)


def test_for_a_data_set():
    loss = KerasLoss(squared).for_data(7, WEIGHTS)
    assert (loss.ignore_label, loss.class_weights, loss.loss) == (7, WEIGHTS, squared)
    with pytest.raises(SettingsError, match="gives probabilities"):
        loss.for_data(7, from_logits=False)
    with pytest.raises(SettingsError, match="function of labels"):
        KerasLoss("mse")


def test_it_is_saved():
    loss = KerasLoss(keras.losses.SparseCategoricalCrossentropy(from_logits=True), 9, {1: 2.0})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_array_equal(again(LABELS % 3, LOGITS), loss(LABELS % 3, LOGITS))
    assert again.ignore_label == 9
