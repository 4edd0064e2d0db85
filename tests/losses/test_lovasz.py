"""The Lovasz extension by its definition, with scikit-learn's Jaccard index."""

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import Lovasz


def extension(errors, truth):
    """Equation 9: errors, largest first, times what each adds to 1 - IoU of the set of mistakes so far."""
    jaccard_score = pytest.importorskip("sklearn.metrics").jaccard_score
    order = np.argsort(-errors, kind="stable")
    mistakes, before, total = truth.copy(), 0.0, 0.0
    for index in order:
        mistakes[index] = 1 - truth[index]
        now = 1 - jaccard_score(truth, mistakes, zero_division=1.0)
        total, before = total + errors[index] * (now - before), now
    return total


def test_softmax_of_several_classes(maps):
    labels, logits, valid = maps()
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    losses = []
    for k in range(3):  # the fourth is nowhere
        truth = (labels[valid] == k).astype(int)
        losses.append(extension(np.abs(truth - probabilities[valid][:, k].astype(np.float64)), truth))
    np.testing.assert_allclose(Lovasz()(labels, logits), np.mean(losses), rtol=1e-4)
    weighted = Lovasz(class_weights=(1, 2, 3, 4))(labels, logits)
    np.testing.assert_allclose(weighted, np.average(losses, weights=(1, 2, 3)), rtol=1e-4)


@pytest.mark.parametrize("mode", ["binary", "multilabel"])
def test_hinge_of_single_channels(maps, mode):
    labels, logits, valid = maps(mode)
    valid, labels = valid.reshape(logits.shape), labels.reshape(logits.shape)
    losses = []
    for k in range(logits.shape[-1]):
        there = valid[..., k]
        truth = labels[..., k][there].astype(int)
        margins = 1 - (2 * truth - 1) * logits[..., k][there].astype(np.float64)
        losses.append(extension(np.maximum(margins, 0), truth))
    given = labels[..., 0] if mode == "binary" else labels
    np.testing.assert_allclose(Lovasz(mode)(given, logits), np.mean(losses), rtol=1e-4)


def test_certain_predictions_have_one_minus_the_iou(maps):
    jaccard_score = pytest.importorskip("sklearn.metrics").jaccard_score
    labels, logits, valid = maps()
    predicted = logits.argmax(-1)
    expected = jaccard_score(labels[valid], predicted[valid], labels=[0, 1, 2], average="macro")
    np.testing.assert_allclose(
        Lovasz()(labels, 50 * np.eye(4, dtype="float32")[predicted]), 1 - expected, atol=1e-5
    )


def test_unknown_labels_nothing_labelled_and_saving(maps):
    labels, logits, _ = maps()
    loss = Lovasz(class_weights={0: 2.0})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_array_equal(again(labels, logits), loss(labels, logits))
    assert float(Lovasz()(np.full((1, 2, 2), 255), np.ones((1, 2, 2, 4)))) == 0
    labels[0, 0, 0] = 9
    assert np.isnan(Lovasz()(labels, logits))
    with pytest.raises(ValueError, match="sample_weight"):
        Lovasz()(labels, logits, [1.0, 2.0])
    with pytest.raises(SettingsError, match="mode"):
        Lovasz("single")
