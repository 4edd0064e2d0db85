"""Jaccard by scikit-learn where predictions are certain."""

import keras
import numpy as np
import pytest

from kseg.losses import Jaccard


def test_certain_predictions_have_the_iou_of_scikit_learn(maps):
    jaccard_score = pytest.importorskip("sklearn.metrics").jaccard_score
    labels, logits, valid = maps()
    predicted = logits.argmax(-1)
    loss = Jaccard()(labels, 50 * np.eye(4, dtype="float32")[predicted])
    expected = jaccard_score(labels[valid], predicted[valid], labels=[0, 1, 2], average="macro")
    np.testing.assert_allclose(loss, 1 - expected, atol=1e-5)
    labels, logits, valid = maps("binary")
    predicted = logits[..., 0] > 0
    loss = Jaccard(mode="binary")(labels, np.where(predicted, 50.0, -50.0)[..., None])
    np.testing.assert_allclose(loss, 1 - jaccard_score(labels[valid], predicted[valid]), atol=1e-5)


def test_it_is_saved(maps):
    labels, logits, _ = maps()
    loss = Jaccard(class_weights=(1, 2, 3, 4))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_array_equal(again(labels, logits), loss(labels, logits))
