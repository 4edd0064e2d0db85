"""Tversky's index by a loop over pixels, and what Keras's loss of that name gives."""

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import Tversky


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def counts(labels, logits, mode):
    """(true, false positives, false negatives) of each class, in float64, and whether the labels have it."""
    logits = logits.astype(np.float64)
    probabilities = softmax(logits) if mode == "multiclass" else sigmoid(logits)
    found = []
    for k in range(logits.shape[-1]):
        hit = wrong = missed = 0.0
        for place in np.ndindex(*logits.shape[:3]):
            label = labels[(*place, k)] if mode == "multilabel" else labels[place]
            if label == 255:
                continue
            true = label == k if mode == "multiclass" else label == 1
            p = probabilities[(*place, k)]
            hit, wrong, missed = hit + true * p, wrong + (not true) * p, missed + true * (1 - p)
        found.append((hit, wrong, missed, hit + missed > 0))
    return found


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize(("alpha", "beta", "gamma"), [(0.5, 0.5, 1), (0.3, 0.7, 1), (0.2, 1.5, 0.75)])
def test_the_index_of_every_class_that_the_labels_have(maps, mode, alpha, beta, gamma):
    labels, logits, _ = maps(mode)
    losses = [
        (1 - hit / (hit + alpha * wrong + beta * missed)) ** gamma
        for hit, wrong, missed, present in counts(labels, logits, mode)
        if present
    ]
    assert len(losses) == {"multiclass": 3, "binary": 1, "multilabel": 4}[mode]
    found = Tversky(alpha, beta, gamma, mode=mode)(labels, logits)
    np.testing.assert_allclose(found, np.mean(losses), rtol=1e-4)


def test_alpha_weighs_false_positives():
    """A swap of the two would give the other number: Keras had them swapped for two years."""
    labels, logits = np.zeros((1, 1, 4), "uint8"), np.full((1, 1, 4, 1), 20.0, "float32")
    labels[0, 0, 0] = 1  # 1 hit, 3 false positives, no false negative
    loss = Tversky(0.25, 0.75, smooth=0, mode="binary")(labels, logits)
    np.testing.assert_allclose(loss, 1 - 1 / (1 + 0.25 * 3), rtol=1e-5)


def test_class_weights_and_sample_weights(maps):
    labels, logits, _ = maps()
    losses = [1 - h / (h + 0.5 * w + 0.5 * m) for h, w, m, present in counts(labels, logits, "multiclass")]
    expected = (losses[0] + 3 * losses[1] + 0.5 * losses[2]) / 4.5  # the fourth is nowhere
    loss = Tversky(class_weights=(1, 3, 0.5, 100))
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-4)
    one = Tversky()(labels[:1], logits[:1])
    np.testing.assert_allclose(Tversky()(labels, logits, [2.0, 0.0]), one, rtol=1e-5)


def test_bounds_and_nothing_labelled(maps):
    labels, _, valid = maps()
    perfect = 50 * np.eye(4, dtype="float32")[np.where(valid, labels, 0)]
    np.testing.assert_allclose(Tversky()(labels, perfect), 0, atol=1e-5)
    np.testing.assert_allclose(Tversky()(labels, -perfect), 1, atol=0.02)
    assert float(Tversky()(np.full((1, 3, 3), 255), np.ones((1, 3, 3, 4)))) == 0


def test_a_label_outside_the_classes_is_never_dropped(maps):
    labels, logits, _ = maps()
    labels[0, 0, 0] = 9
    assert np.isnan(Tversky()(labels, logits))


def test_half_precision_probabilities_and_saving(maps):
    labels, logits, _ = maps()
    expected = Tversky(0.3, 0.7)(labels, logits)
    half = Tversky(0.3, 0.7)(labels, keras.ops.cast(logits, "float16"))
    assert keras.backend.standardize_dtype(half.dtype) == "float32"
    np.testing.assert_allclose(half, expected, rtol=1e-2)
    given = Tversky(0.3, 0.7, from_logits=False)(labels, softmax(logits))
    np.testing.assert_allclose(given, expected, rtol=1e-4)
    loss = Tversky(0.3, 0.7, 0.75, 0.5, "multilabel", 7, {1: 2.0})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    assert (again.alpha, again.gamma, again.mode, again.ignore_label) == (0.3, 0.75, "multilabel", 7)


@pytest.mark.parametrize("changes", [{"mode": "single"}, {"alpha": -1}, {"gamma": 0}, {"smooth": -1}])
def test_what_is_refused(changes):
    with pytest.raises(SettingsError, match=r"mode|alpha"):
        Tversky(**changes)
