"""A compiled function gives what NumPy gives, for any shapes, and is traced for few of them."""

import keras
import numpy as np
import pytest
from keras import ops

from kseg.ops.programs.compiled import compiled


def test_like_numpy_for_lists_of_any_shape():
    function = compiled(lambda x, others: ops.sum(x * others[0], axis=0) + others[1])
    rng = np.random.default_rng(0)
    for rows in (1, 5, 7):
        x, y, z = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 3)), rng.normal(size=3)
        x, y, z = (array.astype("float32") for array in (x, y, z))
        found = function(ops.convert_to_tensor(x), [ops.convert_to_tensor(y), ops.convert_to_tensor(z)])
        np.testing.assert_allclose(ops.convert_to_numpy(found), (x * y).sum(0) + z, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch runs a function as it is")
def test_traced_once_for_a_shape():
    calls = []

    def function(x):
        calls.append(x)
        return x + 1

    run = compiled(function)
    for value in range(3):
        found = run(ops.convert_to_tensor(np.full(4, value, "float32")))
        np.testing.assert_array_equal(ops.convert_to_numpy(found), value + 1)
    assert len(calls) == 1


@pytest.mark.tensorflow
def test_tensorflow_traces_once_more_for_any_shape():
    calls = []
    run = compiled(lambda x: calls.append(x) or x + 1)
    for length in range(1, 6):
        np.testing.assert_array_equal(run(ops.ones(length)), np.full(length, 2))
    assert len(calls) == 2
