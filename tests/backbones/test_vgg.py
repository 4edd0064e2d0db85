import keras
import numpy as np
import pytest

from kseg.backbones import VGG16


def test_stages_and_strides():
    backbone = VGG16(filters=6)
    assert list(backbone.stages) == ["stage1", "stage2", "stage3", "stage4", "stage5", "fc7"]
    out = backbone(np.zeros((1, 65, 40, 3), "uint8"))
    assert {k: tuple(v.shape[1:3]) for k, v in out.items()} == {
        "stage1": (33, 20), "stage2": (17, 10), "stage3": (9, 5), "stage4": (5, 3), "stage5": (3, 2), "fc7": (3, 2),
    }  # fmt: skip


@pytest.mark.full
def test_original_padding():
    """Caffe: 100 pixels on each side, so a 500 x 375 image leaves fc6 a 16 x 12 map (released voc-fcn32s)."""
    out = VGG16(padding="original", filters=2)(np.zeros((1, 500, 375, 3), "uint8"))
    assert tuple(out["fc7"].shape[1:3]) == ((500 + 198 + 31) // 32 - 6, (375 + 198 + 31) // 32 - 6)


def test_features_are_keras_applications():
    reference = keras.applications.VGG16(include_top=False, weights=None)
    backbone = VGG16(filters=None)
    for layer in reference.layers:
        if layer.weights:
            backbone.get_layer(layer.name).set_weights(layer.get_weights())
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    expected = reference(keras.applications.vgg16.preprocess_input(image.copy()))
    np.testing.assert_allclose(
        np.asarray(backbone(image)["stage5"]), np.asarray(expected), rtol=1e-4, atol=1e-4
    )


def test_config_round_trip():
    backbone = VGG16(padding="original", filters=4, dropout=0.1, name="v")
    twin = VGG16.from_config(backbone.get_config())
    assert twin.get_config() == backbone.get_config()
    assert (twin.padding, twin.filters, twin.get_layer("drop6").rate) == ("original", 4, 0.1)


def test_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="padding"):
        VGG16(padding="valid")
