"""NumPy's arrays in a pickle, as NumPy pickles them."""

import io
import pickle

import numpy as np
import pytest

from kseg.weights.reading.numpy_values import CALLS, NumpyArray, NumpyType, plain
from kseg.weights.reading.pickles import load_pickle


def loaded(value, protocol):
    content = pickle.dumps({"value": value}, protocol)
    return plain(
        load_pickle(io.BytesIO(content), CALLS, lambda identity: None, len(content), "f.pth")["value"]
    )


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    "array",
    [
        np.array([[1, 2, 3], [4, 5, 255]], np.uint8),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array([[1, 2, 3]], ">i4"),
        np.array([0.5, 2.0], np.float32),
        np.array(["road", "sky"]),
    ],
    ids=["uint8", "fortran", "big", "float", "text"],
)
def test_arrays(array, protocol):
    assert loaded(array, protocol) == array.tolist()
    assert loaded([array, array], protocol) == [array.tolist()] * 2


def test_numbers():
    assert loaded((np.uint8(7), np.int64(300)), 2) == (7, 300)


def test_what_is_not_as_numpy_writes_it_has_no_values():
    kind = NumpyType("u1", False, True)
    for shape, data in [((2,), b"abc"), ((1 << 40, 0), b""), ("2", b"ab"), ((2,), "ab"), ((-1,), b"ab")]:
        array = NumpyArray()
        array.fill((1, shape, kind, False, data))
        assert plain(array) is None
    assert NumpyType("O8").code is None
    assert plain(NumpyArray()) is None
