"""Losses by name, object and function, and through JSON."""

import json

import keras
import pytest

from kseg.errors import SettingsError
from kseg.losses import CrossEntropy, KerasLoss, named


class Own(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return y_pred[..., 0]


def test_what_is_taken():
    loss = CrossEntropy(ohem_fraction=0.5)
    assert named.get(loss) is loss
    for name, kind in named.LOSSES.items():
        assert type(named.get(name)) is kind
    assert isinstance(named.get(keras.losses.SparseCategoricalCrossentropy(from_logits=True)), KerasLoss)
    assert isinstance(named.get(keras.ops.abs), KerasLoss)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("no such", "There is no loss 'no such'; there are cross_entropy"),
        (3, "got 3"),
        (CrossEntropy, "a loss is|A loss is"),
        (keras.losses.SparseCategoricalCrossentropy(), "from_logits=True"),
    ],
)
def test_what_is_refused(loss, message):
    with pytest.raises(SettingsError, match=message):
        named.get(loss)


def test_json():
    loss = CrossEntropy(class_weights={1: 2.0}, sampling=0.5, seed=3)
    again = named.from_dict(json.loads(json.dumps(named.to_dict(loss))))
    assert again.get_config() == loss.get_config()
    one, two = (named.to_dict(KerasLoss(Own())) for _ in range(2))
    assert one == two  # though Keras numbers their names
    for wrong in ({}, {"class": "kseg>CrossEntropy"}, {"class": "kseg>Normalize", "config": {}}):
        with pytest.raises(SettingsError, match="is not known"):
            named.from_dict(wrong)
    with pytest.raises(SettingsError, match="cannot be made"):
        named.from_dict({"class": "kseg>CrossEntropy", "config": {"no_such": 1}})
