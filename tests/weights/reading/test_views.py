"""Views of mapped files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kseg.errors import ModelError
from kseg.weights.reading.views import BFLOAT16, as_numpy, check_total, mapped, strided, without_numbers

FLAT = np.arange(60, dtype="f4")
WHOLE = st.integers(-2, 70)


@given(st.lists(st.tuples(WHOLE, WHOLE), max_size=4), WHOLE)
def test_a_view_never_reaches_beyond(sides, offset):
    """Against a plain loop over all indices: read where every index exists, refused where one does not."""
    shape, strides = tuple(n for n, _ in sides), tuple(s for _, s in sides)
    try:
        view = strided(FLAT, offset, shape, strides, "w")
    except ModelError:
        return
    assert view.shape == shape
    for index in list(np.ndindex(shape))[:200]:
        assert view[index] == FLAT[offset + sum(i * s for i, s in zip(index, strides, strict=True))]


def test_sound_views_are_not_refused():
    np.testing.assert_array_equal(strided(FLAT, 0, (6, 10), (10, 1), "w"), FLAT.reshape(6, 10))
    np.testing.assert_array_equal(strided(FLAT, 59, (), (), "w"), 59)
    np.testing.assert_array_equal(strided(FLAT, 3, (60,), (0,), "w"), np.full(60, 3))
    assert not strided(FLAT, 0, (60,), (1,), "w").flags.writeable


@pytest.mark.parametrize("shape", [(0, *(1 << 19,) * 4), (1 << 39, 0, 1 << 39)])
def test_a_shape_without_numbers_has_sides_that_exist(shape):
    """NumPy refuses such a shape with a ValueError, though it takes no memory."""
    assert without_numbers((0, 512, 3, 3), FLAT.dtype, "w").shape == (0, 512, 3, 3)
    with pytest.raises(ModelError, match="claims the shape"):
        without_numbers(shape, FLAT.dtype, "w")
    with pytest.raises(ModelError, match="claims the shape"):
        strided(FLAT, 0, shape, (1,) * len(shape), "w")


def test_totals():
    check_total([FLAT] * 4, FLAT.nbytes, Path("f"))
    with pytest.raises(ModelError, match="in all"):
        check_total([np.zeros(1 << 20, "f4")] * 5, 1 << 22, Path("f"))


def test_bfloat16():
    values = np.array([1.5, -2, 3e38], "f4")
    np.testing.assert_allclose(as_numpy(values.astype(BFLOAT16)), values, rtol=2**-8)
    assert as_numpy(values) is values


def test_files_that_cannot_be_mapped(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    for name in ("empty", "missing", "."):
        with pytest.raises(ModelError, match=r"empty|missing|cannot be read"), mapped(tmp_path / name):
            pass
