"""What all losses of maps share."""

import numpy as np
import pytest

from kseg.losses import CrossEntropy

RNG = np.random.default_rng(3)
LABELS = RNG.choice([0, 1, 2, 255], (2, 4, 5)).astype("uint8")
LOGITS = RNG.normal(size=(2, 4, 5, 3)).astype("float32")


def test_probabilities_give_the_loss_of_their_logits():
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    expected = CrossEntropy()(LABELS, LOGITS)
    np.testing.assert_allclose(CrossEntropy(from_logits=False)(LABELS, probabilities), expected, rtol=1e-5)
    certain = np.eye(3, dtype="float32")[np.zeros((1, 2, 2), int)]
    assert np.isfinite(CrossEntropy(from_logits=False)(np.ones((1, 2, 2)), certain))


@pytest.mark.parametrize("channel", [False, True])
def test_the_weight_is_what_the_mean_divides_by(channel):
    labels = LABELS[..., None] if channel else LABELS
    counts = np.bincount(LABELS[LABELS != 255], minlength=3)
    assert float(CrossEntropy().weight(labels, 3)) == counts.sum()
    np.testing.assert_allclose(CrossEntropy(class_weights={1: 2.5}).weight(labels, 3), counts @ [1, 2.5, 1])
    assert float(CrossEntropy(reduction="sum").weight(labels, 3)) == 1
    assert float(CrossEntropy(ignore_label=None).weight(LABELS % 3, 3)) == LABELS.size


def test_for_a_data_set_and_a_model():
    loss = CrossEntropy(ohem_fraction=0.5, class_weights=(1, 2, 3)).for_data(7, seed=4)
    assert (loss.ignore_label, loss.seed, loss.ohem_fraction, loss.class_weights) == (7, 4, 0.5, (1, 2, 3))
    assert CrossEntropy(seed=1, sampling=0.5).for_data(255, seed=4).seed == 1
    assert CrossEntropy().for_data(255, (3, 2, 1)).class_weights == (3, 2, 1)
    assert not CrossEntropy().for_data(255, from_logits=False).from_logits
    assert not CrossEntropy(from_logits=False).for_data(255).from_logits


def test_validation_counts_every_pixel():
    loss = CrossEntropy(class_weights=(1, 2, 3), ohem_fraction=0.1, sampling=0.5).for_validation()
    np.testing.assert_allclose(loss(LABELS, LOGITS), CrossEntropy(class_weights=(1, 2, 3))(LABELS, LOGITS))
