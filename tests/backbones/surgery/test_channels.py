"""An encoder for RGB on other channels: an image whose channels are alike gives what it gave."""

import keras
import numpy as np
import pytest

from kseg.backbones import Backbone, ChannelBackbone, DeepLabMobileNetV2
from kseg.backbones.surgery.channels import adapted
from kseg.errors import ModelError, SettingsError


def outputs(backbone, image):
    return {name: np.asarray(value) for name, value in backbone(image).items()}


def own(normalisation):
    """A network of one's own, whose normalisation is Keras's."""
    image = x = keras.Input((None, None, 3))
    for layer in normalisation:
        x = layer(x)
    x = keras.layers.Conv2D(4, 3, 2, "same", activation="relu")(x)
    return Backbone(image, {"stage1": x})


@pytest.fixture(scope="module")
def rgb():
    return DeepLabMobileNetV2(0.25)


@pytest.mark.parametrize(
    ("how", "channels"),
    [
        ("repeat", 6),
        *(
            pytest.param(how, n, marks=pytest.mark.full)
            for how, n in [("repeat", 1), ("mean", 1), ("mean", 6)]
        ),
    ],
)
def test_channels_that_are_alike(rgb, channels, how):
    grey = np.random.default_rng(0).uniform(0, 255, (1, 33, 40, 1)).astype("float32")
    expected = outputs(rgb, np.repeat(grey, 3, -1))
    backbone = ChannelBackbone(rgb, channels, value_range=(0, 65535), first_convolution=how)
    found = outputs(backbone, np.repeat(grey * 257, channels, -1))
    assert list(backbone.stages) == list(rgb.stages)
    assert (backbone.padding, backbone.aligned, backbone.output_stride) == ("image", True, 32)
    for stage, values in expected.items():
        np.testing.assert_allclose(found[stage], values, atol=1e-4 * np.abs(values).max())


@pytest.mark.parametrize(
    "normalisation",
    [
        (),
        (keras.layers.Rescaling(1 / 127.5, -1),),
        (keras.layers.Rescaling(1 / 255), keras.layers.Normalization(mean=[0.5] * 3, variance=[0.04] * 3)),
    ],
    ids=["none", "rescaling", "normalization"],
)
def test_what_normalises_gives_way(normalisation):
    network = own(normalisation)
    grey = np.random.default_rng(0).uniform(0, 255, (1, 8, 9, 1)).astype("float32")
    backbone = ChannelBackbone(network, 2, value_range=(-1, 1), first_convolution="mean")
    found = outputs(backbone, np.repeat(grey / 127.5 - 1, 2, -1))["stage1"]
    np.testing.assert_allclose(
        found, outputs(network, np.repeat(grey, 3, -1))["stage1"], atol=2e-3, rtol=1e-4
    )


def test_mean_and_std_are_ones_own(rgb):
    backbone = ChannelBackbone(rgb, 4, value_range=(0, 1e4), mean=(1, 2, 3, 4), std=5)
    layer = backbone.get_layer("normalize")
    assert (layer.mean, layer.std) == ((1, 2, 3, 4), (5,) * 4)


def test_filters_of_the_first_convolution():
    kernel = np.arange(6, dtype="float32").reshape(1, 1, 3, 2)
    np.testing.assert_allclose(adapted(kernel, 4)[0, 0, :, 0], np.array([0, 2, 4, 0]) * 3 / 4)
    np.testing.assert_allclose(adapted(kernel, 4, "mean")[0, 0, :, 1], [(1 + 3 + 5) / 4] * 4)
    np.testing.assert_allclose(adapted(kernel, 1)[0, 0], [[0 + 2 + 4, 1 + 3 + 5]])


@pytest.mark.full
def test_saved_and_loaded(rgb, tmp_path):
    backbone = ChannelBackbone(
        rgb, 5, value_range=(0, 1), mean=0.4, std=(1, 2, 3, 4, 5), first_convolution="mean"
    )
    backbone.save(tmp_path / "b.keras")
    again = keras.models.load_model(tmp_path / "b.keras")
    image = np.random.default_rng(0).random((1, 20, 31, 5)).astype("float32")
    for stage, values in outputs(backbone, image).items():
        np.testing.assert_array_equal(outputs(again, image)[stage], values)
    assert (again.channels, again.value_range) == (5, (0, 1))


def test_refusals(rgb):
    with pytest.raises(SettingsError, match="`channels`"):
        ChannelBackbone(rgb, 0)
    with pytest.raises(SettingsError, match="lowest and the highest"):
        ChannelBackbone(rgb, 2, value_range=(5, 5))
    with pytest.raises(SettingsError, match="`mean` must be 4 numbers"):
        ChannelBackbone(rgb, 4, mean=(1, 2))
    image = keras.Input((None, None, 3))
    with pytest.raises(ModelError, match="no first convolution"):
        ChannelBackbone(Backbone(image, {"stage1": keras.layers.ReLU()(image)}), 4)
