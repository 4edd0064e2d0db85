"""Sums of losses."""

import json

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import CrossEntropy, Dice, Focal, WeightedSum, named


def test_the_sum(maps):
    labels, logits, _ = maps()
    loss = named.get("focal + 0.5*dice + 2 * cross_entropy")
    expected = Focal()(labels, logits) + 0.5 * Dice()(labels, logits) + 2 * CrossEntropy()(labels, logits)
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-6)
    assert float(loss.weight(labels, 4)) == (labels != 255).sum()
    again = named.from_dict(json.loads(json.dumps(named.to_dict(loss))))
    np.testing.assert_array_equal(again(labels, logits), loss(labels, logits))
    keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))


def test_for_data_and_validation(maps):
    labels, logits, _ = maps()
    loss = WeightedSum([CrossEntropy(sampling=0.5), Dice()]).for_data(255, (1, 2, 3, 4), seed=5)
    assert [part.class_weights for part in loss.losses] == [(1, 2, 3, 4)] * 2
    assert loss.seed_generator is loss.losses[0].seed_generator
    assert WeightedSum([Dice()]).seed_generator is None
    whole = CrossEntropy(class_weights=(1, 2, 3, 4))(labels, logits)
    found = loss.for_validation()(labels, logits)
    np.testing.assert_allclose(found, whole + Dice(class_weights=(1, 2, 3, 4))(labels, logits), rtol=1e-6)


@pytest.mark.parametrize(
    "text", ["dice +", "x * dice", "dice * 2", "0 * dice", "-1*dice + focal", "dice + + focal"]
)
def test_texts_that_are_no_sums(text):
    with pytest.raises(SettingsError, match=r"loss|sum"):
        named.get(text)


def test_what_is_refused():
    for losses, weights in (([], None), (["dice"], None), ([Dice()], [1, 2]), ([Dice()], [0])):
        with pytest.raises(SettingsError, match="sum"):
            WeightedSum(losses, weights)
