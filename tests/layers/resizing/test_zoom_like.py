import keras
import numpy as np
import pytest

from kseg.layers import ZoomLike
from kseg.ops.resize import resize

RNG = np.random.default_rng(0)
SIZES = [((17, 25), (3, 4)), ((16, 18), (3, 4)), ((24, 31), (3, 4)), ((1, 8), (1, 1))]


@pytest.mark.parametrize(("size", "cells"), SIZES)
def test_numpy_interpolation(size, cells):
    """Every pixel between two neighbouring cells at multiples of 8; numpy.interp repeats the last."""
    x = RNG.normal(size=(2, *cells, 3)).astype("float32")
    rows = _interp(x, size[0], 1)
    expected = _interp(rows, size[1], 2)
    y = ZoomLike(8)([x, np.zeros((2, *size, 1), "float32")])
    np.testing.assert_allclose(np.asarray(y), expected, atol=1e-5)


def _interp(x, size, axis):
    places = 8 * np.arange(x.shape[axis])
    return np.apply_along_axis(lambda line: np.interp(np.arange(size), places, line), axis, x)


def test_cells_stand_at_multiples():
    x = RNG.normal(size=(1, 5, 6, 2)).astype("float32")
    y = np.asarray(ZoomLike(4)([x, np.zeros((1, 20, 21, 3), "float32")]))
    np.testing.assert_array_equal(y[:, ::4, ::4], x)


def test_aligned_corners_where_the_size_fits():
    x = RNG.normal(size=(1, 5, 6, 2)).astype("float32")
    y = ZoomLike(8)([x, np.zeros((1, 33, 41, 3), "float32")])
    np.testing.assert_allclose(np.asarray(y), np.asarray(resize(x, (33, 41), align_corners=True)), atol=1e-5)


def test_traces_with_unknown_sizes_and_reloads(tmp_path):
    image, x = keras.Input((None, None, 3)), keras.Input((None, None, 2))
    model = keras.Model([image, x], ZoomLike(4, name="zoom")([x, image]))
    assert model.output_shape == (None, None, None, 2)
    model.save(tmp_path / "m.keras")
    arrays = [np.zeros((1, 9, 11, 3), "float32"), RNG.normal(size=(1, 3, 3, 2)).astype("float32")]
    twin = keras.saving.load_model(tmp_path / "m.keras")
    assert twin.get_layer("zoom").factor == 4
    np.testing.assert_allclose(
        twin.predict(arrays, verbose=0), np.asarray(model(arrays)), rtol=1e-5, atol=1e-6
    )


def test_half_precision_maps_give_float32_logits():
    x = RNG.normal(size=(1, 3, 3, 2)).astype("float32")
    y = ZoomLike(2, dtype="float32")([x.astype("float16"), np.zeros((1, 5, 5, 1), "float16")])
    assert keras.backend.standardize_dtype(y.dtype) == "float32"


def test_refuses_factor_zero():
    with pytest.raises(ValueError, match="from 1 on"):
        ZoomLike(0)
