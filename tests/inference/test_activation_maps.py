import keras
import numpy as np
import pytest

from kseg.backbones import VGG16BatchNorm
from kseg.errors import DataError, ModelError
from kseg.inference import activation_sheet, activations
from kseg.inference.activation_maps import decoder_layers
from kseg.models import FCN, DeconvNet


def deconvnet():
    return DeconvNet(VGG16BatchNorm(widths=(2, 3, 4, 5, 6), filters=8, name="vgg"), 3, kernel_std=0.5)


def telling_net():
    """Class 1 wherever red is high; one of the two channels before says just that, the other is constant."""
    image = keras.Input((None, None, 3))
    pooled = keras.layers.AveragePooling2D(2, name="pool")(image)
    maps = keras.layers.Conv2D(3, 1, use_bias=False, name="maps")(pooled)
    logits = keras.layers.Conv2D(2, 1, use_bias=False, name="logits")(maps)
    model = keras.Model(image, keras.layers.UpSampling2D(2, name="up")(logits))
    kernel = np.zeros((1, 1, 3, 3), "float32")
    kernel[0, 0, 0, 2], kernel[0, 0, 1, 0], kernel[0, 0, 0, 1] = 1, 1, -1  # green, minus red, red
    model.get_layer("maps").set_weights([kernel])
    last = np.zeros((1, 1, 3, 2), "float32")
    last[0, 0, 2, 1], last[0, 0, 2, 0] = 0.1, -0.1
    last[0, 0, 0, 0] = 0.05
    model.get_layer("logits").set_weights([last])
    return model


IMAGE = np.zeros((12, 16, 3), np.uint8)
IMAGE[:, 6:12, 0] = 200
IMAGE[..., 1] = 90


def test_the_channel_that_goes_with_the_prediction_is_taken():
    found = {one.layer: one for one in activations(telling_net(), IMAGE, ["maps", "logits"])}
    assert found["maps"].channel == 2
    np.testing.assert_allclose(found["maps"].values, IMAGE[::2, ::2, 0])
    assert found["logits"].channel == 1
    assert str(found["maps"]) == "maps 6x8, 3 of 3"


def test_layers_of_a_plain_model_by_their_sizes():
    assert decoder_layers(telling_net()) == ["pool", "logits", "up"]


def test_the_decoder_of_deconvnet():
    """Of each stage the unpooled map and the last one, as in the paper's figure 4."""
    names = decoder_layers(deconvnet())
    assert [name for name in names if name.startswith("unpool")] == [f"unpool{i}" for i in (5, 4, 3, 2, 1)]
    assert {"derelu5_3", "derelu4_3", "derelu3_3", "derelu2_2", "logits"} <= set(names)
    assert not any(name.startswith(("block", "bn", "fc")) for name in names)
    shapes = [one.values.shape for one in activations(deconvnet(), np.zeros((64, 96, 3), np.uint8), names)]
    assert shapes[-1] == shapes[-2] == (64, 96)
    assert (32, 48) in shapes


def test_the_sheet_of_other_models(monkeypatch):
    model = FCN(
        VGG16BatchNorm(widths=(2, 3, 4, 5, 6), filters=8, fc6_padding="same", name="vgg"), 3, stride=32
    )
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    drawn = activation_sheet(model, picture)
    assert drawn.dtype == np.uint8
    assert drawn.ndim == 3
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 50


def test_a_model_of_a_fixed_size():
    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same", name="logits")(image))
    assert activations(model, IMAGE)[-1].values.shape == (8, 8)


def test_a_model_that_works_at_a_size():
    model = deconvnet()
    model.working_size = (32, 64)
    assert activations(model, IMAGE)[-1].values.shape == (32, 64)


def test_mistakes():
    with pytest.raises(DataError, match="grey image"):
        activations(telling_net(), IMAGE[..., 0])
    with pytest.raises(ModelError, match="no layer nowhere"):
        activations(telling_net(), IMAGE, ["maps", "nowhere"])
    sequence = keras.Sequential([keras.layers.Conv2D(2, 1)])
    sequence.build((None, 8, 8, 3))

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ModelError, match="no layers with maps"):
        activations(Own(), IMAGE)
