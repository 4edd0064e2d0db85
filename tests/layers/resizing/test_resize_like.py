import keras
import numpy as np
import pytest

from kseg.errors import SettingsError
from kseg.layers import ResizeLike, ZoomLike
from kseg.ops.resize import resize


def test_takes_the_other_tensors_size():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2)).astype("float32")
    like = np.zeros((2, 9, 5, 1), "float32")
    y = ResizeLike(align_corners=True)([x, like])
    np.testing.assert_array_equal(np.asarray(y), np.asarray(resize(x, (9, 5), align_corners=True)))
    np.testing.assert_allclose(np.asarray(y)[:, [0, -1], [0, -1]], x[:, [0, -1], [0, -1]], atol=1e-6)


def test_unknown_sizes_save_and_load(tmp_path):
    image = keras.Input((None, None, 3))
    small = keras.layers.Conv2D(2, 3, strides=4, padding="same")(image)
    model = keras.Model(image, ResizeLike(name="logits", dtype="float32")([small, image]))
    x = np.random.default_rng(0).normal(size=(1, 17, 23, 3)).astype("float32")
    model.save(tmp_path / "m.keras")
    twin = keras.saving.load_model(tmp_path / "m.keras")
    y = model.predict(x, verbose=0)
    assert y.shape == (1, 17, 23, 2)
    np.testing.assert_array_equal(twin.predict(x, verbose=0), y)


def test_config_round_trip():
    layer = ResizeLike("nearest", name="r")
    assert ResizeLike.from_config(layer.get_config()).method == "nearest"
    assert ResizeLike.from_config(ResizeLike(align_corners=True).get_config()).align_corners


def test_by_a_factor_cells_keep_their_places():
    """On a size that divides it is the resize; on others the same map, cut off."""
    x = np.random.default_rng(3).normal(size=(1, 3, 4, 2)).astype("float32")
    whole = np.asarray(ResizeLike()([x, np.zeros((1, 12, 16, 1), "float32")]))
    for height, width in ((12, 16), (9, 13)):
        layer = ResizeLike(factor=4)
        got = np.asarray(layer([x, np.zeros((1, height, width, 1), "float32")]))
        np.testing.assert_allclose(got, whole[:, :height, :width], rtol=1e-6)
        lines = np.asarray(layer.positions(3, height))
        np.testing.assert_allclose(lines, (np.arange(height) + 0.5) / 4 - 0.5)
    assert ResizeLike.from_config(ResizeLike(factor=4).get_config()).factor == 4


@pytest.mark.parametrize(
    "arguments",
    [
        {"factor": 2.5, "align_corners": True},
        {"method": "nearest", "align_corners": True},
        {"method": "cubic"},
        {"factor": 0.5},
        {"factor": True},
        {"align_corners": "yes"},
    ],
)
def test_refusals(arguments):
    with pytest.raises(SettingsError, match=next(iter(arguments))):
        ResizeLike(**arguments)


def test_cell_stride():
    found = [
        ResizeLike(factor=f, align_corners=a).cell_stride for f, a in ((4, True), (4, False), (None, True))
    ]
    assert found == [4, None, None]
    assert ZoomLike(4).cell_stride == 4


def test_old_files_name_for_cells_over_every_fourth_pixel():
    x = np.random.default_rng(3).normal(size=(1, 3, 4, 2)).astype("float32")
    like = np.zeros((1, 11, 14, 1), "float32")
    new = ResizeLike(align_corners=True, factor=4)
    np.testing.assert_array_equal(np.asarray(ZoomLike(4)([x, like])), np.asarray(new([x, like])))
    assert set(ZoomLike(4).get_config()) == {"name", "trainable", "dtype", "factor"} | set(
        new.get_config()
    ) - {"method", "align_corners"}


@pytest.mark.parametrize("size", [(16, 32), (11, 25)])
def test_a_fraction_puts_cells_where_the_stretched_map_has_them(size):
    x = np.random.default_rng(3).normal(size=(1, 3, 6, 2)).astype("float32")
    whole = np.asarray(resize(x, (16, 32)))
    layer = ResizeLike.from_config(ResizeLike(factor=16 / 3).get_config())
    got = np.asarray(layer([x, np.zeros((1, *size, 1), "float32")]))
    np.testing.assert_allclose(got, whole[:, : size[0], : size[1]], rtol=1e-6)
    image = keras.Input((None, None, 2))
    small = keras.layers.AveragePooling2D(4)(image)
    model = keras.Model(image, ResizeLike(factor=3.5)([small, image]))
    assert model.predict(np.zeros((1, 12, 8, 2), "float32"), verbose=0).shape == (1, 10, 7, 2)


@pytest.mark.parametrize("settings", [{"factor": 1}, {"factor": 1, "align_corners": True}])
def test_a_factor_of_one_changes_nothing(settings):
    x = np.random.default_rng(3).normal(size=(1, 3, 4, 2)).astype("float32")
    np.testing.assert_allclose(np.asarray(ResizeLike(**settings)([x, x])), x, rtol=1e-6)


@pytest.mark.parametrize("size", [(9, 13), (12, 16), (11, 14), (5, 6), (1, 1)])
def test_cells_over_every_fourth_pixel_are_interpolated_as_numpy_does(size):
    """Whole multiples and one, which need no cell beyond the map's; others; and parts of the map."""
    x = np.random.default_rng(3).normal(size=(1, 3, 4, 2)).astype("float32")
    expected = x
    for axis, length in zip((1, 2), size, strict=True):
        lines, cells = np.arange(length) / 4, np.arange(x.shape[axis])
        expected = np.apply_along_axis(lambda line, p=lines, c=cells: np.interp(p, c, line), axis, expected)
    layer, like = ResizeLike(align_corners=True, factor=4), np.zeros((1, *size, 1), "float32")
    np.testing.assert_allclose(np.asarray(layer([x, like])), expected, atol=1e-6)
    maps, sizes = keras.Input((None, None, 2)), keras.Input((None, None, 1))
    model = keras.Model([maps, sizes], layer([maps, sizes]))
    np.testing.assert_allclose(model.predict([x, like], verbose=0), expected, atol=1e-6)
