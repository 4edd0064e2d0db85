"""Weights at borders by SciPy's filters."""

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import BoundaryCrossEntropy, CrossEntropy


def weights_of(labels, width, factor):
    ndimage = pytest.importorskip("scipy.ndimage")
    found = np.ones(labels.shape)
    for number, one in enumerate(labels.astype(int)):
        size = 2 * width + 1
        highest = ndimage.maximum_filter(np.where(one == 255, -1, one), size, mode="constant", cval=-1)
        lowest = ndimage.minimum_filter(one, size, mode="constant", cval=255)
        found[number][(one != 255) & (highest > lowest)] += factor
    return found


@pytest.mark.parametrize(("width", "factor"), [(1, 4.0), (2, 0.5), (3, 0.0)])
def test_weights_and_loss(width, factor):
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, (2, 4, 5)).repeat(4, 1).repeat(4, 2).astype("uint8")
    labels[random.random(labels.shape) < 0.05] = 255
    logits = random.normal(size=(*labels.shape, 3)).astype("float32")
    weights = weights_of(labels, width, factor)
    loss = BoundaryCrossEntropy(width, factor)
    np.testing.assert_array_equal(loss.border_weights(labels), weights)
    expected = CrossEntropy()(labels, logits, weights)
    np.testing.assert_allclose(loss(labels, logits), expected, rtol=1e-5)
    np.testing.assert_allclose(loss.weight(labels, 3), weights[labels != 255].sum(), rtol=1e-6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_array_equal(again(labels, logits), loss(labels, logits))
    assert loss.for_data(7).width == width


@pytest.mark.parametrize("changes", [{"width": 0}, {"width": 1.5}, {"factor": -1}])
def test_what_is_refused(changes):
    with pytest.raises(SettingsError, match="width"):
        BoundaryCrossEntropy(**changes)
