import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import SettingsError
from kseg.ops.normalization import check_several_values, fused_batch_norm


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


def test_a_single_value_is_refused_where_sizes_are_known():
    for shape, axes in (((1, 1, 1, 5), (0, 1, 2)), ((1, 5), (0,)), ((1, 3, 1, 1), (0, 2, 3))):
        with pytest.raises(SettingsError, match="what to do"):
            check_several_values(np.zeros(shape, "float32"), axes, 1, "what to do")
    x = np.zeros((1, 1, 1, 5), "float32")
    assert check_several_values(x, (0, 1, 2), 2, "") is x  # two replicas have one value each
    x = np.zeros((2, 1, 1, 5), "float32")
    assert check_several_values(x, (0, 1, 2), 1, "") is x


@pytest.mark.tensorflow
def test_a_single_value_is_refused_in_the_step_where_sizes_are_not_known():
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 5))])
    def run(x):
        return check_several_values(x, (0, 1, 2), 1, "what to do")

    assert run(np.zeros((1, 2, 1, 5), "float32")).shape == (1, 2, 1, 5)
    assert run(np.zeros((0, 2, 1, 5), "float32")).shape == (0, 2, 1, 5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="what to do"):
        run(np.zeros((1, 1, 1, 5), "float32"))
