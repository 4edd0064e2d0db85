"""The cross-entropy of a training step against the formula in float64, and against TensorFlow's operation."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.ops import cross_entropy
from kseg.ops.cross_entropy import softmax_cross_entropy

pytestmark = pytest.mark.tensorflow


def case(classes=5, size=(9, 13), spread=3.0):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, spread, (2, *size, classes)).astype("float32")
    return rng.integers(0, classes, (2, *size)).astype("int32"), logits


def in_training(labels, logits, upstream):
    """Losses and the gradient of their weighted sum, in a graph such as that of `fit`."""

    @tf.function(autograph=False)
    def step(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            losses = softmax_cross_entropy(tf.constant(labels), logits)
            total = tf.reduce_sum(losses * upstream)
        return losses, tape.gradient(total, logits)

    found = step(tf.constant(logits))
    calls = [node.op for node in step.get_concrete_function(tf.constant(logits)).graph.as_graph_def().node]
    return [np.asarray(x) for x in found], "SparseSoftmaxCrossEntropyWithLogits" not in calls


@pytest.mark.parametrize(("classes", "spread"), [(5, 3.0), (1, 3.0), (21, 200.0)])
def test_losses_and_gradient_are_the_formulas(classes, spread, monkeypatch):
    monkeypatch.setattr(cross_entropy, "LEAST_PIXELS", 1)
    labels, logits = case(classes, spread=spread)
    upstream = np.random.default_rng(1).normal(size=labels.shape).astype("float32")
    (losses, gradient), own = in_training(labels, logits, upstream)
    assert own
    exact = logits.astype("f8") - logits.max(-1, keepdims=True)
    probabilities = np.exp(exact) / np.exp(exact).sum(-1, keepdims=True)
    truth = labels[..., None] == np.arange(classes)
    np.testing.assert_allclose(
        losses, np.log(np.exp(exact).sum(-1)) - (exact * truth).sum(-1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(gradient, upstream[..., None] * (probabilities - truth), rtol=1e-4, atol=1e-6)


def test_a_class_that_is_ruled_out_by_minus_infinity(monkeypatch):
    monkeypatch.setattr(cross_entropy, "LEAST_PIXELS", 1)
    labels, logits = case()
    logits[..., 4], labels[labels == 4] = -np.inf, 0
    (losses, gradient), own = in_training(labels, logits, 1.0)
    assert own
    expected = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-6)
    assert np.isfinite(gradient).all()
    assert not gradient[..., 4].any()


@pytest.mark.parametrize("strange", [-1, 5])
def test_a_label_that_is_no_class_is_told(strange, monkeypatch):
    monkeypatch.setattr(cross_entropy, "LEAST_PIXELS", 1)
    labels, logits = case()
    labels[1, 3, 4] = strange
    with pytest.raises(tf.errors.InvalidArgumentError, match="no class"):
        in_training(labels, logits, 1.0)


def test_labels_of_bytes_are_class_ids_too(monkeypatch):
    monkeypatch.setattr(cross_entropy, "LEAST_PIXELS", 1)
    labels, logits = case()
    (losses, _), own = in_training(labels.astype("uint8"), logits, 1.0)
    assert own
    np.testing.assert_allclose(losses, tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), rtol=1e-5)


def test_small_maps_and_half_precision_are_left_to_keras(monkeypatch):
    labels, logits = case()
    assert not in_training(labels, logits, 1.0)[1]
    monkeypatch.setattr(cross_entropy, "LEAST_PIXELS", 1)
    assert not in_training(labels, logits.astype("float16"), np.float16(1))[1]
