import keras
import numpy as np
import pytest

from kseg.layers import Normalize


@pytest.mark.parametrize(
    ("mean", "std"), [((10, 20, 30), (2, 4, 8)), ((9, 9, 9), (5, 5, 5)), ((7, 8, 9), (3, 3, 3))]
)
def test_is_the_formula(mean, std):
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 3)).astype("uint8")
    layer = Normalize(mean, std)
    expected = (image - np.array(mean, float)) / np.array(std, float)
    np.testing.assert_allclose(np.asarray(layer(image)), expected, rtol=1e-5, atol=1e-4)


def test_bgr_is_kerass_caffe_mode():
    image = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype("float32")
    expected = keras.applications.vgg16.preprocess_input(image.copy())
    layer = Normalize((123.68, 116.779, 103.939), (1, 1, 1), bgr=True)
    np.testing.assert_allclose(np.asarray(layer(image)), expected, atol=1e-4)


def test_half_precision_output():
    layer = Normalize(dtype="mixed_float16")
    assert "float16" in str(layer(np.zeros((1, 2, 2, 3), "uint8")).dtype)


def test_config_round_trip():
    layer = Normalize((1, 2, 3), (4, 5, 6), bgr=True, name="n")
    assert Normalize.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize(("mean", "std"), [((1, 2), (1, 1, 1)), ((1, 2, 3), (1, 0, 1))])
def test_nonsense_is_refused(mean, std):
    with pytest.raises(ValueError, match=r"`std` must be [23] numbers above 0"):
        Normalize(mean, std)


def test_equal_channels_are_normalised_as_different_ones_are():
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 4, 3)).astype("float32")
    layer = Normalize(mean=(127, 127, 127), std=(128, 128, 128))
    np.testing.assert_allclose(np.asarray(layer(image)), (image - 127) / 128, atol=1e-6)
