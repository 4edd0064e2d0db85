"""The logits of torchvision's and mmsegmentation's programs are in test_published_heads.py."""

import numpy as np
import pytest

from kseg.backbones import EfficientNetLite, ResNet
from kseg.errors import SettingsError
from kseg.models import DeepLabV3, with_auxiliary_head
from tests.models.contracts import check_image_level, check_segmenter


@pytest.mark.full
def test_contract(tmp_path):
    model = DeepLabV3(ResNet(50, output_stride=8, filters=2), 3, rates=(2, 3), filters=4, projection=3)
    check_segmenter(model, tmp_path)


def test_defaults_are_torchvisions():
    """`deeplabv3_resnet50`: ASPP of 256 channels at rates 12, 24 and 36, dropout 0.5, one more 3x3 convolution."""
    model = DeepLabV3(ResNet(50, output_stride=8, filters=2), 21)
    config = model.get_config()
    expected = {"rates": (12, 24, 36), "filters": 256, "projection": 1, "head": True, "dropout": 0.5}
    expected |= {"upsampling": "size", "epsilon": 1e-5}
    assert {name: config[name] for name in expected} == expected
    assert [model.get_layer(f"aspp_{rate}_conv").rate for rate in (12, 24, 36)] == [
        (12, 12),
        (24, 24),
        (36, 36),
    ]
    assert model.get_layer("head_conv").kernel_size == (3, 3)
    assert model.get_layer("dropout").rate == 0.5


def test_scores_go_to_the_image_from_where_the_deepest_stage_stands():
    """Ended at stage 3, whose stride is 8 although strides up to 32 are allowed, on an image that is reduced."""
    backbone = EfficientNetLite("lite0", weights=None, last_stage="stage3", image_scale=0.5, padding="image")
    model = DeepLabV3(backbone, 2, rates=(), filters=4, upsampling="centres")
    assert model.get_layer("logits").factor == 16
    assert np.asarray(model(np.zeros((1, 40, 70, 3), "uint8"))).shape == (1, 40, 70, 2)


def test_auxiliary_head():
    model = DeepLabV3(ResNet(50, output_stride=8, filters=2), 3, rates=(2,), filters=4)
    training_model = with_auxiliary_head(model)
    assert training_model.get_layer("auxiliary_conv").filters == 256
    assert training_model.get_layer("auxiliary_bn").epsilon == 1e-5
    assert training_model.get_layer("auxiliary").factor is None


@pytest.mark.full
@pytest.mark.parametrize(
    "arguments",
    [
        {"rates": (0,)},
        {"filters": 0},
        {"projection": 2},
        {"dropout": 1},
        {"upsampling": "x"},
        {"momentum": 2},
    ],
)
def test_refusals(arguments):
    with pytest.raises(SettingsError, match=f"`{next(iter(arguments))}` must be"):
        DeepLabV3(ResNet(18, filters=1), 3, **arguments)


def test_without_the_image_level():
    check_image_level(DeepLabV3)
