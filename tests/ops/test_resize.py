import numpy as np
import pytest
from keras import ops

from kseg.ops.resize import resize, same_size, spatial_shape


def interpolate(x, size, align_corners):
    """Bilinear interpolation, a plain loop over the output's pixels."""
    batch, height, width, channels = x.shape
    out = np.zeros((batch, *size, channels))
    for i in range(size[0]):
        for j in range(size[1]):
            if align_corners:
                v = i * (height - 1) / max(size[0] - 1, 1)
                u = j * (width - 1) / max(size[1] - 1, 1)
            else:
                v = np.clip((i + 0.5) * height / size[0] - 0.5, 0, height - 1)
                u = np.clip((j + 0.5) * width / size[1] - 0.5, 0, width - 1)
            top, left = int(v), int(u)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            a, b = v - top, u - left
            out[:, i, j] = (1 - a) * ((1 - b) * x[:, top, left] + b * x[:, top, right]) + a * (
                (1 - b) * x[:, bottom, left] + b * x[:, bottom, right]
            )
    return out


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(7, 11), (10, 4), (1, 1), (5, 6)])
def test_bilinear_is_the_loop(size, align_corners):
    x = np.random.default_rng(0).normal(size=(2, 5, 6, 3)).astype("float32")
    expected = interpolate(x, size, align_corners)
    np.testing.assert_allclose(np.asarray(resize(x, size, align_corners=align_corners)), expected, atol=1e-5)


def test_nearest_invents_no_value():
    x = np.array([0.0, 3.0, 7.0, 255.0], "float32").reshape(1, 2, 2, 1)
    y = np.asarray(resize(x, (5, 3), method="nearest"))
    assert set(np.unique(y)) == set(np.unique(x))


def test_half_precision_stays():
    assert "float16" in str(resize(np.ones((1, 2, 2, 1), "float16"), (4, 4)).dtype)


@pytest.mark.parametrize(("method", "align"), [("bicubic", False), ("nearest", True)])
def test_unknown_rule_is_refused(method, align):
    with pytest.raises(ValueError, match="method"):
        resize(np.ones((1, 2, 2, 1), "float32"), (4, 4), method=method, align_corners=align)


def test_sizes_are_the_same_only_where_both_are_known():
    assert same_size((3, 4), (3, 4))
    assert not same_size((3, 4), (3, 5))
    assert not same_size((None, 4), (None, 4))
    assert not same_size((ops.convert_to_tensor(3), 4), (3, 4))


def test_spatial_shape_is_height_and_width():
    assert spatial_shape(np.zeros((2, 3, 5, 7))) == (3, 5)
