"""Static shapes of pooling and unpooling against TensorFlow's pooling, and indices that do not belong."""

import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import SettingsError
from kseg.ops import pooling, switches


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("window", "stride"), [((2, 2), (2, 2)), ((3, 2), (2, 2)), ((2, 3), (3, 1))])
def test_static_shapes_are_those_of_the_tensors(window, stride, padding):
    x = np.zeros((2, 9, 8, 3), "float32")
    pooled = tf.nn.max_pool2d(x, window, stride, padding.upper())
    assert switches.pooled_shape((None, 9, 8, 3), window, stride, padding) == (None, *pooled.shape[1:])
    assert switches.pooled_shape((2, None, 8, 3), window, stride, padding) == (2, None, *pooled.shape[2:])
    values, indices = pooling.max_pool_with_argmax(x, window, stride, padding)
    assert switches.pooled_shape(x.shape, window, stride, padding) == values.shape == indices.shape
    restored = pooling.max_unpool(values, indices, window, stride, padding, size=(9, 8))
    assert restored.shape == x.shape


@pytest.mark.parametrize(("window", "stride"), [((2, 2), (2, 2)), ((3, 2), (2, 2)), ((2, 3), (3, 1))])
def test_static_shape_of_unpooling_without_a_size(window, stride):
    values, indices = pooling.max_pool_with_argmax(np.zeros((2, 9, 8, 3), "float32"), window, stride, "valid")
    restored = pooling.max_unpool(values, indices, window, stride, "valid")
    assert switches.unpooled_shape(values.shape, window, stride, "valid") == tuple(restored.shape)
    assert switches.unpooled_shape((2, None, 4, 3), (2, 2), (2, 2), "same") == (2, None, 8, 3)


def test_indices_that_do_not_belong_are_refused():
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    values, indices = map(np.array, pooling.max_pool_with_argmax(x))
    with pytest.raises(SettingsError, match="one shape"):
        pooling.max_unpool(values, indices[:, 1:])
    with pytest.raises(SettingsError, match="integers, not"):
        pooling.max_unpool(values, values)
    with pytest.raises(SettingsError, match="places are 0 to 107"):
        pooling.max_unpool(values, indices + 108)
    with pytest.raises(SettingsError, match="-1 to"):
        pooling.max_unpool(values, np.where(indices == indices.min(), -1, indices))
    with pytest.raises(SettingsError, match="outside of their pooling window"):
        pooling.max_unpool(values, indices[:, ::-1])
    with pytest.raises(SettingsError, match="gives 4 values, not the 3"):
        pooling.max_unpool(values, indices, size=(6, 7))
    counted = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME", include_batch_in_index=True)
    with pytest.raises(SettingsError, match="count the batch"):
        pooling.max_unpool(*map(np.array, counted))
