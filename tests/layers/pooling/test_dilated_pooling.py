import keras
import numpy as np
import pytest

from kseg.layers.pooling.dilated_pooling import DilatedPooling2D


def _by_loops(x, pool, rate, padding, mode):
    """Every window by hand; places outside the map do not count."""
    (top, bottom), (left, right) = padding
    height = x.shape[1] + top + bottom - rate * (pool[0] - 1)
    width = x.shape[2] + left + right - rate * (pool[1] - 1)
    out = np.zeros((x.shape[0], height, width, x.shape[3]))
    for row, column in np.ndindex(height, width):
        rows = [row - top + rate * i for i in range(pool[0])]
        columns = [column - left + rate * i for i in range(pool[1])]
        inside = [x[:, r, c] for r in rows for c in columns if 0 <= r < x.shape[1] and 0 <= c < x.shape[2]]
        out[:, row, column] = np.max(inside, 0) if mode == "max" else np.mean(inside, 0)
    return out


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize(
    ("pool", "rate", "padding"),
    [
        ((2, 2), 1, ((0, 0), (0, 0))),
        ((2, 2), 2, ((0, 2), (0, 2))),
        ((3, 2), 2, ((1, 3), (0, 1))),
        ((1, 1), 4, ((0, 0), (0, 0))),
    ],
)
def test_windows(mode, pool, rate, padding):
    x = np.random.default_rng(0).normal(size=(2, 7, 9, 3)).astype("float32") - 3  # maxima below zero
    layer = DilatedPooling2D(pool, rate, padding, mode)
    expected = _by_loops(x, pool, rate, padding, mode)
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-6)
    assert layer.compute_output_shape((2, 7, 9, 3)) == expected.shape
    assert layer.compute_output_shape((None, None, 9, 3))[1] is None


@pytest.mark.parametrize(("mode", "kind"), [("max", "MaxPooling2D"), ("average", "AveragePooling2D")])
def test_without_holes_it_is_keras_pooling(mode, kind):
    x = np.random.default_rng(1).normal(size=(1, 6, 5, 2)).astype("float32")
    expected = getattr(keras.layers, kind)(3, strides=1, padding="same")(x)
    ours = DilatedPooling2D(3, 1, ((1, 1), (1, 1)), mode)(x)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(expected), rtol=1e-5, atol=1e-6)


def test_half_precision_and_saving(tmp_path):
    image = keras.Input((None, None, 2))
    layer = DilatedPooling2D((3, 2), 3, ((1, 2), (0, 3)), "average", dtype="mixed_float16", name="pool")
    model = keras.Model(image, layer(image))
    model.save(tmp_path / "m.keras")
    twin = keras.saving.load_model(tmp_path / "m.keras")
    assert twin.get_layer("pool").get_config() == layer.get_config()
    x = np.random.default_rng(2).normal(size=(1, 8, 9, 2)).astype("float32")
    assert model(x).dtype == "float16"
    np.testing.assert_array_equal(np.asarray(twin(x)), np.asarray(model(x)))


@pytest.mark.parametrize("arguments", [{"mode": "sum"}, {"rate": 0}, {"pool_size": 0}])
def test_wrong_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        DilatedPooling2D(**arguments)
