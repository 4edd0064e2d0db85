"""The windows against plain loops: finding maxima, putting values back, and reading them."""

import itertools

import numpy as np
import pytest
from keras import ops

from kseg.errors import SettingsError
from kseg.ops import windows

SIZES = ((7, 8), (5, 2), (1, 1))


def _settings():
    for size, k, s, padding in itertools.product(SIZES, (1, 2, 3), (1, 2), ("same", "valid")):
        if padding == "same" or min(size) >= k:
            yield size, (k, k + 1 if padding == "same" else k), (s, s), padding


def _loop(x, rows, columns):
    """Maximum and offset of every window, one comparison at a time."""
    batch, height, width, channels = x.shape
    best = np.full((batch, rows.count, columns.count, channels), -np.inf, x.dtype)
    offset = np.zeros(best.shape, "int32")
    for b, i, j, c in np.ndindex(best.shape):
        for dy, dx in np.ndindex(rows.window, columns.window):
            y, z = i * rows.stride - rows.before + dy, j * columns.stride - columns.before + dx
            if 0 <= y < height and 0 <= z < width and x[b, y, z, c] > best[b, i, j, c]:
                best[b, i, j, c], offset[b, i, j, c] = x[b, y, z, c], (dy * width + dx) * channels
    return best, offset


def _places(offset, rows, columns, channels):
    """Row and column on the map to which every offset points."""
    i, j = (np.arange(a.count) * a.stride - a.before for a in (rows, columns))
    # A window may start ahead of its row, so the offset is only the way from there in flat places.
    flat = i[None, :, None, None] * columns.size + j[None, None, :, None] + offset // channels
    return flat // columns.size, flat % columns.size


@pytest.mark.parametrize("numbered", [False, True], ids=["distances", "numbers"])
@pytest.mark.parametrize(("size", "window", "stride", "padding"), list(_settings()))
def test_maximum_place_and_pick_agree_with_loops(size, window, stride, padding, numbered):
    x = np.random.default_rng(0).integers(-3, 3, size=(2, *size, 2)).astype("float32")  # many ties
    rows, columns = windows.pooling_axes(size, window, stride, padding)
    steps = windows.Steps.of_window(columns) if numbered else windows.Steps.of_map(columns, 2)
    best, offset = windows.first_maximum(ops.convert_to_tensor(x), rows, columns, steps)
    want, want_offset = _loop(x, rows, columns)
    np.testing.assert_array_equal(best, want)
    np.testing.assert_array_equal(windows.distance_of(offset, columns, 2, steps), want_offset)
    if columns.window <= columns.size:
        there = windows.offset_of(ops.convert_to_tensor(want_offset), rows, columns, 2, steps)
        assert there.dtype == offset.dtype
        np.testing.assert_array_equal(there, offset)

    y, z = _places(want_offset, rows, columns, 2)
    b, c = np.arange(2)[:, None, None, None], np.arange(2)
    picked = windows.pick(ops.convert_to_tensor(x), offset, rows, columns, steps)
    np.testing.assert_array_equal(picked, x[b, y, z, c])

    values = np.random.default_rng(1).normal(size=best.shape).astype("float32")
    placed = windows.place(ops.convert_to_tensor(values), offset, rows, columns, steps)
    expected = np.zeros_like(x)
    np.add.at(expected, (b, y, z, c), values)
    np.testing.assert_allclose(placed, expected, rtol=1e-5, atol=1e-6)


def test_infinite_values_and_all_equal_maps_take_the_first_place():
    rows, columns = windows.pooling_axes((5, 5), 3, 3, "same")
    for value in (-np.inf, 0.0, np.inf):
        x = np.full((1, 5, 5, 1), value, "float32")
        steps = windows.Steps.of_map(columns, 1)
        best, offset = windows.first_maximum(ops.convert_to_tensor(x), rows, columns, steps)
        np.testing.assert_array_equal(best, np.full((1, 2, 2, 1), value))
        np.testing.assert_array_equal(
            np.array(offset)[0, :, :, 0], [[0, 0], [0, 0]] if rows.before == 0 else offset
        )


def test_distances_that_lead_out_of_the_window_have_no_number_in_it():
    rows, columns = windows.pooling_axes((4, 6), 2, None, "same")
    distance = np.array([-3, 0, 3, 6, 18, 21, 24, 1, 2**31 - 1], "int32").reshape(1, 1, 9, 1)  # 3 channels
    steps = windows.Steps.of_window(columns)
    number = windows.offset_of(ops.convert_to_tensor(distance), rows, columns, 3, steps)
    inside = {0: 0, 3: 1, 18: 2, 21: 3}
    want = [inside.get(int(d), windows.OUTSIDE) for d in distance.ravel()]
    np.testing.assert_array_equal(np.ravel(number), want)


@pytest.mark.parametrize("bad", [0, -1, (2,), (2, 0), "2", 1.5, None])
def test_windows_that_are_no_windows_are_refused(bad):
    with pytest.raises(SettingsError, match="pool_size"):
        windows.window_and_stride(bad, None, "same")


def test_unknown_padding_is_refused():
    with pytest.raises(SettingsError, match="'full'"):
        windows.window_and_stride(2, None, "full")


def test_a_valid_window_larger_than_the_map_is_refused():
    with pytest.raises(SettingsError, match="window of 4 does not fit a map of 3"):
        windows.pooling_axes((3, 8), 4, None, "valid")
