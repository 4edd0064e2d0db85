import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.models.structure.upsampling import upsampled

CELLS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


def position(way, line, cells, size, stride):
    """Where a line of the image stands among the cells: the four formulas, as the programs have them."""
    if way == "size":
        return (line + 0.5) * cells / size - 0.5
    if way == "corners":
        return line * (cells - 1) / max(size - 1, 1)
    return line / stride if way == "cells" else (line + 0.5) / stride - 0.5


def interpolated(way, size, stride):
    """A plain loop over the pixels; beyond the outermost cells these are repeated."""
    result = np.empty(size)
    for y in range(size[0]):
        for x in range(size[1]):
            places = []
            for line, cells, length in ((y, 3, size[0]), (x, 4, size[1])):
                at = min(max(position(way, line, cells, length, stride), 0), cells - 1)
                low = int(at)
                places.append((low, min(low + 1, cells - 1), at - low))
            (a, b, v), (c, d, h) = places
            top = CELLS[a, c] * (1 - h) + CELLS[a, d] * h
            bottom = CELLS[b, c] * (1 - h) + CELLS[b, d] * h
            result[y, x] = top * (1 - v) + bottom * v
    return result


@pytest.mark.parametrize("way", ["size", "corners", "cells", "centres"])
@pytest.mark.parametrize("size", [(12, 16), (9, 13), (11, 14)])
def test_a_plain_loop(way, size):
    image = np.zeros((1, *size, 3), "uint8")
    y = upsampled(CELLS[None, :, :, None], image, 4, way)
    np.testing.assert_allclose(np.asarray(y)[0, :, :, 0], interpolated(way, size, 4), atol=1e-5)


def test_half_precision_scores_become_float32():
    y = upsampled(CELLS[None, :, :, None].astype("float16"), np.zeros((1, 9, 9, 3), "uint8"), 4, "size")
    assert np.asarray(y).dtype == np.float32


def test_another_way_is_refused():
    with pytest.raises(SettingsError, match="`upsampling` must be 'size', 'corners', 'cells' or 'centres'"):
        upsampled(CELLS[None, :, :, None], np.zeros((1, 9, 9, 3), "uint8"), 4, "bilinear")
