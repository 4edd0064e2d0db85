"""`class_ids` and `count_ids` against NumPy."""

import numpy as np
import pytest

from kseg.ops.labels import class_ids, count_ids


def test_is_numpys_argmax_and_the_first_of_equals():
    scores = np.random.default_rng(0).normal(size=(2, 5, 7, 4)).astype("float32")
    scores[0, 0, 0] = [1, 3, 3, 0]
    found = np.asarray(class_ids(scores))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, scores.argmax(-1))


def test_counts_are_numpys():
    ids = np.random.default_rng(0).integers(0, 7, 100).astype("int32")
    found = np.asarray(count_ids(ids, 9))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.bincount(ids, minlength=9))


@pytest.mark.tensorflow
@pytest.mark.parametrize("deterministic", [False, True])
def test_counts_compile_whatever_comes_before(deterministic, monkeypatch):
    """As in a plain `fit` on one GPU, which Keras gives to XLA: the length must not depend on the ids."""
    import tensorflow as tf
    from tensorflow.python.framework import config

    monkeypatch.setattr(config, "is_op_determinism_enabled", lambda: deterministic)
    scores = np.random.default_rng(1).normal(size=(50, 4)).astype("float32")

    @tf.function(jit_compile=True)
    def counted(scores):
        scores, _, _ = tf.raw_ops.FusedBatchNorm(  # XLA cannot look through it for a constant
            x=scores[None, None], scale=tf.ones(4), offset=tf.zeros(4), mean=[], variance=[], is_training=True
        )[:3]
        return count_ids(class_ids(scores[0, 0]), 6)

    normalised = (scores - scores.mean(0)) / scores.std(0)
    np.testing.assert_array_equal(counted(scores), np.bincount(normalised.argmax(-1), minlength=6))


@pytest.mark.parametrize("from_logits", [True, False])
def test_one_channel_becomes_background_and_object(from_logits):
    from kseg.ops.labels import two_classes

    p = np.array([[0.2, 0.5, 0.8]], "float32")[..., None]
    given = np.log(p / (1 - p)) if from_logits else p
    two = np.asarray(two_classes(given, from_logits))
    shares = np.exp(two) / np.exp(two).sum(-1, keepdims=True) if from_logits else two
    np.testing.assert_allclose(shares[..., 1:], p, rtol=1e-5)
    assert np.asarray(class_ids(two)).tolist() == [[0, 0, 1]]
    assert np.asarray(class_ids(two_classes(given, from_logits, 0.9))).tolist() == [[0, 0, 0]]
    assert np.asarray(class_ids(two_classes(given, from_logits, 0.1))).tolist() == [[1, 1, 1]]


def test_one_channel_has_no_largest_score():
    with pytest.raises(ValueError, match="two_classes"):
        class_ids(np.zeros((2, 2, 1), "float32"))
