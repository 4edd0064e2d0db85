"""Arrays that tensors take over."""

import keras
import numpy as np
import pytest

from kseg.ops.memory import empty_array, tensor_of


@pytest.mark.parametrize("shape", [(), (3,), (3, 3, 64, 65)])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int32"])
def test_the_tensor_is_the_array(shape, dtype):
    array = empty_array(shape, dtype)
    assert (array.shape, array.dtype.name, array.any()) == (shape, dtype, False)
    array[...] = np.arange(array.size).reshape(shape) % 100
    tensor = tensor_of(array)
    assert keras.backend.standardize_dtype(tensor.dtype) == dtype
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(tensor), array)


def test_a_variable_outlives_the_array_it_took_over():
    variable = keras.Variable(np.zeros((200, 300), "float32"))
    array = empty_array((200, 300), "float32")
    array[...] = np.arange(60_000).reshape(200, 300)
    variable.assign(tensor_of(array))
    del array
    variable.assign_add(np.ones((200, 300), "float32"))
    np.testing.assert_array_equal(np.asarray(variable), np.arange(1, 60_001).reshape(200, 300))


def test_others_arrays_are_copied():
    array = np.arange(60_000, dtype="float32").reshape(200, 300)
    tensors = [tensor_of(array[:, ::2]), tensor_of(array.T)]
    array.flags.writeable = False
    tensors.append(tensor_of(array))
    for tensor, expected in zip(tensors, (array[:, ::2], array.T, array), strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(tensor), expected)
