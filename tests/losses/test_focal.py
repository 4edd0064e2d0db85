"""The focal loss by PyTorch."""

import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.losses import CrossEntropy, Focal


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
@pytest.mark.parametrize("gamma", [0.0, 2.0, 0.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_torch(maps, mode, gamma, weighted):
    """torch's own cross-entropies give -log p; the rest is the paper's formula. Value and gradient."""
    torch = pytest.importorskip("torch")
    labels, logits, valid = maps(mode)
    weights = {"multiclass": (1, 2, 0.5, 4), "binary": (0.25, 3), "multilabel": (1, 2, 0.5, 4)}[mode]
    theirs = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    truth = torch.tensor(np.where(valid, labels, 0).astype(np.int64))
    if mode == "multiclass":
        ce = torch.nn.functional.cross_entropy(theirs.permute(0, 3, 1, 2), truth, reduction="none")
        weight = torch.tensor(weights, dtype=torch.float64)[truth]
    else:
        truth = truth.reshape(logits.shape)
        ce = torch.nn.functional.binary_cross_entropy_with_logits(theirs, truth.double(), reduction="none")
        table = torch.tensor(weights, dtype=torch.float64)
        weight = table[truth] if mode == "binary" else table.expand(truth.shape)
    counted = torch.tensor(valid).reshape(ce.shape).double() * (weight if weighted else 1.0)
    expected = ((1 - torch.exp(-ce)) ** gamma * ce * counted).sum() / counted.sum()
    expected.backward()
    loss = Focal(gamma, mode, class_weights=weights if weighted else None)
    np.testing.assert_allclose(loss(labels, logits), float(expected.detach()), rtol=1e-5)
    np.testing.assert_allclose(loss.weight(labels, 4), float(counted.sum()), rtol=1e-6)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        own = tf.Variable(logits)
        with tf.GradientTape() as tape:
            value = loss(labels, own)
        np.testing.assert_allclose(tape.gradient(value, own), theirs.grad, rtol=1e-3, atol=1e-7)


def test_without_gamma_it_is_the_cross_entropy(maps):
    labels, logits, _ = maps()
    np.testing.assert_allclose(Focal(0)(labels, logits), CrossEntropy()(labels, logits), rtol=1e-5)
    extreme = 1000 * logits
    assert np.isfinite(Focal()(labels, extreme))


def test_sample_weights_unknown_labels_and_saving(maps):
    labels, logits, _ = maps()
    np.testing.assert_allclose(
        Focal()(labels, logits, [1.0, 0.0]), Focal()(labels[:1], logits[:1]), rtol=1e-5
    )
    loss = Focal(1.5, class_weights={0: 2.0})
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    np.testing.assert_array_equal(again(labels, logits), loss(labels, logits))
    labels[0, 0, 0] = 9
    assert np.isnan(Focal()(labels, logits))
    assert float(Focal()(np.full((1, 2, 2), 255), np.ones((1, 2, 2, 4)))) == 0
    with pytest.raises(SettingsError, match="gamma"):
        Focal(-1)
    with pytest.raises(SettingsError, match="mode"):
        Focal(mode="single")
