import keras
import numpy as np
import pytest

from kseg import models
from kseg.backbones import DeepLabMobileNetV2
from kseg.errors import ModelError, SettingsError


@pytest.fixture(scope="module")
def rgb():
    model = models.LiteFPN(DeepLabMobileNetV2(0.25), num_classes=3, context=8)
    model.classes, model.working_size = ("a", "b", "c"), (32, 32)
    return model


@pytest.mark.full
def test_a_network_on_other_channels(rgb, tmp_path):
    grey = np.random.default_rng(0).uniform(0, 255, (1, 33, 40, 1)).astype("float32")
    other = models.with_channels(rgb, 2, value_range=(0, 1), first_convolution="mean")
    assert (other.input_shape[-1], other.value_range, other.classes) == (2, (0, 1), ("a", "b", "c"))
    assert (rgb.input_shape[-1], rgb.value_range, other.working_size) == (3, (0, 255), (32, 32))
    expected = np.asarray(rgb(np.repeat(grey, 3, -1)))
    found = np.asarray(other(np.repeat(grey / 255, 2, -1)))
    np.testing.assert_allclose(found, expected, atol=1e-4)
    other.save(tmp_path / "m.keras")
    again = models.load(tmp_path / "m.keras")
    np.testing.assert_array_equal(np.asarray(again(np.repeat(grey / 255, 2, -1))), found)
    multi = models.with_channels(models.MultiScale(rgb, (0.5, 1.0)), 2)
    assert multi.input_shape[-1] == 2


@pytest.mark.full
def test_of_the_catalog():
    model = models.build("unet", 1, weights=None, channels=4, value_range=(0, 65535), mean=100, std=50)
    assert (model.input_shape[-1], model.value_range) == (4, (0, 65535))
    assert model.backbone.get_layer("normalize").mean == (100,) * 4


def test_refusals(rgb):
    with pytest.raises(SettingsError, match="takes images of 2 channels"):
        models.with_channels(models.with_channels(rgb, 2), 4)
    with pytest.raises(ModelError, match="not a network of kseg"):
        models.with_channels(keras.Sequential([keras.Input((8, 8, 3))]), 2)
