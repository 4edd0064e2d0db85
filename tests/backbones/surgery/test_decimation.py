import numpy as np
import pytest

from kseg.backbones import decimate

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("size", "taps"), [(3, (0, 3, 6)), (4, (0, 2, 4, 6)), (7, range(7)), (1, (3,))])
def test_kept_taps_and_filters(size, taps):
    kernel, bias = RNG.normal(size=(7, 7, 5, 8)), RNG.normal(size=8)
    small, small_bias = decimate(kernel, bias, (size, size, 5, 2))
    for i, row in enumerate(taps):
        for j, column in enumerate(taps):
            for f, old in enumerate((0, 4)):
                np.testing.assert_array_equal(small[i, j, :, f], kernel[row, column, :, old])
    np.testing.assert_array_equal(small_bias, bias[[0, 4]])


def test_channels_follow_the_filters_before_them():
    """A 1x1 after a decimated layer reads the filters that were kept: same sum where the others are silent."""
    first, second, x = RNG.normal(size=(1, 1, 3, 8)), RNG.normal(size=(1, 1, 8, 4)), RNG.normal(size=3)
    silent = first.copy()
    silent[..., [1, 3, 5, 7]] = 0
    small, _ = decimate(first, np.zeros(8), (1, 1, 3, 4))
    after, _ = decimate(second, np.zeros(4), (1, 1, 4, 4))
    np.testing.assert_allclose(x @ small[0, 0] @ after[0, 0], x @ silent[0, 0] @ second[0, 0])


@pytest.mark.parametrize("shape", [(8, 7, 5, 8), (7, 7, 5, 9), (0, 7, 5, 8), (7, 7, 5)])
def test_refuses_to_grow(shape):
    with pytest.raises(ValueError, match=r"cannot make|4 axes"):
        decimate(np.zeros((7, 7, 5, 8)), np.zeros(8), shape)
