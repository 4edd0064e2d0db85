"""Class weights as Keras's dicts and as lists; the losses by a NumPy loop."""

import json

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import CrossEntropy
from kseg.losses.class_weights import checked_class_weights, weights_of_classes

RNG = np.random.default_rng(4)
LABELS = RNG.choice([0, 1, 2, 255], (2, 5, 6)).astype("uint8")
LOGITS = RNG.normal(size=(2, 5, 6, 3)).astype("float32")


def expected(weights):
    """sum(w * ce) / sum(w) over the labelled pixels, in float64."""
    total = norm = 0.0
    for label, logits in zip(LABELS.ravel(), LOGITS.reshape(-1, 3).astype(np.float64), strict=True):
        if label != 255:
            total += weights[label] * (np.log(np.exp(logits).sum()) - logits[label])
            norm += weights[label]
    return total / norm


@pytest.mark.parametrize(
    ("given", "weights"),
    [
        ({0: 0.2, 1: 1.0, 2: 1.0}, (0.2, 1, 1)),
        ({2: 4, 0: 0.5}, (0.5, 1, 4)),  # Keras: classes that are not named have 1
        ({np.int64(1): np.float32(3)}, (1, 3, 1)),
        ({"1": 2.0}, (1, 2, 1)),
        ({}, (1, 1, 1)),
        (np.array([1, 2, 3]), (1, 2, 3)),
        ([0, 0, 2.5], (0, 0, 2.5)),
    ],
)
def test_the_loss_weighs_by_them_and_is_saved_with_them(given, weights):
    loss = CrossEntropy(class_weights=given)
    np.testing.assert_allclose(loss(LABELS, LOGITS), expected(weights), rtol=1e-5)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(loss)))
    again = keras.saving.deserialize_keras_object(config)
    np.testing.assert_array_equal(again(LABELS, LOGITS), loss(LABELS, LOGITS))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("012", "one number a class"),
        ({0.5, 1.0}, "one number a class"),
        (2.0, "one number a class"),
        ({0.5: 1}, "class ids"),
        ({-1: 1}, "class ids"),
        ({True: 1}, "class ids"),
        ({"road": 1}, "class ids"),
        ({1: 2, "1": 3}, "twice"),
        ([1, -1], "from 0 on"),
        ([1, float("nan")], "from 0 on"),
        ({0: None}, "from 0 on"),
        ([[1, 2], [3, 4]], "from 0 on"),
        ([0, 0], "above 0"),
        ([], "above 0"),
    ],
)
def test_what_is_refused_at_once(weights, message):
    with pytest.raises(SettingsError, match=message):
        checked_class_weights(weights)


def test_what_does_not_fit_the_classes():
    with pytest.raises(SettingsError, match="the classes 3, but the ids of 3 classes are 0 to 2"):
        CrossEntropy(class_weights={3: 1.0})(LABELS, LOGITS)
    with pytest.raises(SettingsError, match="2 class weights for 3 classes"):
        CrossEntropy(class_weights=(1, 2))(LABELS, LOGITS)
    with pytest.raises(SettingsError, match="above 0"):
        weights_of_classes({0: 0.0, 1: 0.0}, 2)


def test_one_weight_a_row_of_pixels_is_refused():
    # What Keras makes of `class_weight` where labels are no maps of one channel.
    with pytest.raises(SettingsError, match="one number an image or a pixel"):
        CrossEntropy()(LABELS, LOGITS, np.ones((2, 5)))
    np.testing.assert_allclose(
        CrossEntropy()(LABELS, LOGITS, np.ones((2, 1))), CrossEntropy()(LABELS, LOGITS)
    )
