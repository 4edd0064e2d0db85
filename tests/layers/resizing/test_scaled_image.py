import keras
import numpy as np
import pytest

from kseg.layers import ScaledImage

RNG = np.random.default_rng(0)


def interpolated(x, places, axis):
    return np.apply_along_axis(lambda line: np.interp(places, np.arange(len(line)), line), axis, x)


@pytest.mark.parametrize(
    ("size", "scale", "result"),
    [((33, 41), 0.5, (17, 17)), ((30, 47), 0.75, (25, 33)), ((1, 9), 0.5, (1, 9))],
)
def test_cells_at_every_eighth_pixel(size, scale, result):
    """numpy.interp repeats the last row and column as the layer does."""
    x = RNG.uniform(0, 255, (2, *size, 3)).astype("float32")
    expected = x
    for axis, (side, new) in enumerate(zip(size, result, strict=True), start=1):
        filled = 8 * -(-(side - 1) // 8)
        expected = interpolated(expected, np.linspace(0, filled, new), axis)
    y = ScaledImage(scale, 8)(x)
    assert ScaledImage(scale, 8).compute_output_shape((None, *size, 3)) == (None, *result, 3)
    np.testing.assert_allclose(np.asarray(y), expected, atol=2e-3)


@pytest.mark.parametrize(("size", "result"), [((10, 13), (5, 6)), ((1, 7), (1, 4))])
def test_half_pixels(size, result):
    x = RNG.uniform(0, 255, (1, *size, 2)).astype("float32")
    expected = x
    for axis, (side, new) in enumerate(zip(size, result, strict=True), start=1):
        expected = interpolated(expected, (np.arange(new) + 0.5) * side / new - 0.5, axis)
    np.testing.assert_allclose(np.asarray(ScaledImage(0.5)(x)), expected, atol=1e-3)
    assert ScaledImage(0.5).compute_output_shape((1, *size, 2)) == (1, *result, 2)


@pytest.mark.parametrize("stride", [None, 8])
def test_traces_with_unknown_sizes_and_reloads(stride, tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, ScaledImage(0.75, stride)(image))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for size in ((20, 27), (33, 9)):
        x = RNG.uniform(0, 255, (1, *size, 3)).astype("float32")
        expected = np.asarray(ScaledImage(0.75, stride)(x))
        np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-5)
        np.testing.assert_array_equal(np.asarray(again(x)), expected)


@pytest.mark.parametrize("arguments", [(0,), (-1,), (0.5, 0)])
def test_refusals(arguments):
    with pytest.raises(ValueError, match="must be"):
        ScaledImage(*arguments)
