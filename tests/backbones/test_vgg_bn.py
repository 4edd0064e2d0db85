import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, VGG16BatchNorm
from kseg.backbones import weights as weight_files
from kseg.errors import ModelError

WIDTHS = (2, 3, 4, 5, 6)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 47)])
def test_stages_halve_and_round_up(height, width):
    backbone = VGG16BatchNorm(widths=WIDTHS, filters=7, fc6_padding="same")
    found = backbone(np.zeros((1, height, width, 3), "float32"))
    assert list(backbone.stages) == ["stage1", "stage2", "stage3", "stage4", "stage5", "fc7"]
    for stage in range(1, 6):
        factor = 2**stage
        expected = (1, -(-height // factor), -(-width // factor), WIDTHS[stage - 1])
        assert found[f"stage{stage}"].shape == expected
    assert found["fc7"].shape == (*found["stage5"].shape[:3], 7)


def test_switches_point_at_the_pooled_values():
    backbone = VGG16BatchNorm(widths=WIDTHS, filters=None)
    argmax, pooled_from = backbone.switches("stage2")
    parts = keras.Model(backbone.input, [argmax, pooled_from, backbone.stages["stage2"]])
    image = np.random.default_rng(0).uniform(0, 255, (1, 20, 26, 3)).astype("float32")
    indices, features, pooled = (np.asarray(x) for x in parts(image))
    np.testing.assert_array_equal(features.reshape(-1)[indices.reshape(-1)], pooled.reshape(-1))


def test_config_round_trip():
    backbone = VGG16BatchNorm(widths=WIDTHS, filters=7, fc6_padding="same", name="own")
    again = VGG16BatchNorm.from_config(backbone.get_config())
    assert again.get_config() == backbone.get_config()
    assert [v.path for v in again.variables] == [v.path for v in backbone.variables]


@pytest.mark.slow
def test_weights_of_plain_vgg16_fit(tmp_path):
    plain = VGG16(filters=16)
    weight_files.save(plain, tmp_path / "vgg16.npz", "float32")
    backbone = VGG16BatchNorm(filters=16, weights=tmp_path / "vgg16.npz")
    for name in ("block1_conv1", "block5_conv3", "fc6", "fc7"):
        for mine, given in zip(backbone.get_layer(name).weights, plain.get_layer(name).weights, strict=True):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(given))


def test_weights_for_other_widths_are_refused():
    with pytest.raises(ModelError, match="widths"):
        VGG16BatchNorm(widths=WIDTHS, filters=None, weights="imagenet")


@pytest.mark.parametrize("arguments", [{"fc6_padding": "full"}, {"widths": (1, 2)}])
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match=r"must be|needs"):
        VGG16BatchNorm(**arguments)
