"""Dice by scikit-learn where predictions are certain, and by its own formula."""

import keras
import numpy as np
import pytest

from kseg.losses import Dice, Tversky


def test_certain_predictions_have_the_f1_of_scikit_learn(maps):
    f1_score = pytest.importorskip("sklearn.metrics").f1_score
    labels, logits, valid = maps()
    predicted = logits.argmax(-1)
    loss = Dice()(labels, 50 * np.eye(4, dtype="float32")[predicted])
    expected = f1_score(labels[valid], predicted[valid], labels=[0, 1, 2], average="macro")
    np.testing.assert_allclose(loss, 1 - expected, atol=1e-5)


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
def test_it_is_tverskys_with_halves_and_is_saved(maps, mode):
    labels, logits, _ = maps(mode)
    loss = Dice(0.5, mode)
    np.testing.assert_allclose(loss(labels, logits), Tversky(0.5, 0.5, 1, 0.5, mode)(labels, logits))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert again.get_config() == loss.get_config()
    np.testing.assert_array_equal(again(labels, logits), loss(labels, logits))
