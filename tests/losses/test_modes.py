"""Labels and logits in the three modes."""

import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import CrossEntropy, Focal
from kseg.losses.modes import channels_of, checked_mode, weights_of_channels


def test_each_mode():
    loss = CrossEntropy()
    logits, truth, counted = channels_of(loss, [[[0, 2, 255]]], np.zeros((1, 1, 3, 3)), "multiclass")
    np.testing.assert_array_equal(truth[0, 0], [[1, 0, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(counted[0, 0, :, 0], [1, 1, 0])
    assert logits.shape == (1, 1, 3, 3)
    _, truth, counted = channels_of(loss, [[[0, 1, 255, 2]]], np.zeros((1, 1, 4, 1)), "binary")
    np.testing.assert_array_equal(truth[0, 0, :2, 0], [0, 1])
    np.testing.assert_array_equal(counted[0, 0, :, 0], [1, 1, 0, np.nan])
    _, truth, counted = channels_of(loss, [[[[0, 1], [1, 255]]]], np.zeros((1, 1, 2, 2)), "multilabel")
    np.testing.assert_array_equal(truth[0, 0], [[0, 1], [1, 0]])
    np.testing.assert_array_equal(counted[0, 0], [[1, 1], [1, 0]])


def test_probabilities_come_back_as_logits():
    logits = np.random.default_rng(0).normal(size=(1, 2, 3, 1))
    loss = Focal(mode="binary", from_logits=False)
    found = channels_of(loss, np.zeros((1, 2, 3)), 1 / (1 + np.exp(-logits)), "binary").logits
    np.testing.assert_allclose(found, logits, rtol=1e-4)


def test_what_is_refused():
    with pytest.raises(SettingsError, match="multiclass, binary, multilabel"):
        checked_mode("many")
    for labels, logits, mode in (
        ((1, 2, 2), (1, 2, 2, 3), "binary"),
        ((1, 2, 2), (1, 2, 2, 3), "multilabel"),
        ((1, 2, 2, 2), (1, 2, 2, 2), "binary"),
        ((1, 2, 2, 3), (1, 2, 2, 3), "multiclass"),
    ):
        with pytest.raises(ValueError, match="Expected"):
            channels_of(CrossEntropy(), np.zeros(labels), np.zeros(logits), mode)


def test_weights():
    np.testing.assert_array_equal(weights_of_channels(None, 3), [1, 1, 1])
    np.testing.assert_array_equal(weights_of_channels({1: 2.0}, 3), [1, 2, 1])
