import keras
import numpy as np
import pytest

from kseg.ops.normalization import fused_batch_norm


@pytest.mark.tensorflow
def test_is_the_formula():
    x = np.random.default_rng(0).normal(2, 3, (2, 4, 5, 3)).astype("float32")
    gamma, beta = np.array([1, 2, 0.5], "float32"), np.array([0, -1, 3], "float32")
    y, mean, variance = fused_batch_norm(x, gamma, beta, 1e-3)
    np.testing.assert_allclose(mean, x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, x.var((0, 1, 2)), rtol=1e-5)
    expected = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-3) * gamma + beta
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.tensorflow
def test_one_value_has_no_variance():
    _, mean, variance = fused_batch_norm(
        np.full((1, 1, 1, 2), 7, "float32"), np.ones(2, "f"), np.zeros(2, "f"), 1e-3
    )
    np.testing.assert_allclose(mean, 7)
    np.testing.assert_allclose(variance, 0)


@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="TensorFlow has the operation")
def test_other_backends_have_no_such_operation():
    assert fused_batch_norm(np.zeros((1, 2, 2, 3), "f"), np.ones(3, "f"), np.zeros(3, "f"), 1e-3) is None
