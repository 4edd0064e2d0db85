"""The logits of torchvision's and mmsegmentation's programs are in test_published_heads.py."""

import pytest

from kseg.backbones import ResNet
from kseg.errors import SettingsError
from kseg.models import DilatedFCN
from tests.models.contracts import check_segmenter


def test_contract(tmp_path):
    backbone = ResNet(18, output_stride=8, filters=2)
    check_segmenter(DilatedFCN(backbone, 3, convolutions=2, concatenate=True, filters=4), tmp_path)


def test_defaults_are_torchvisions():
    """`fcn_resnet50`: one 3x3 convolution of 512 channels (a quarter of 2048), dropout 0.1."""
    model = DilatedFCN(ResNet(18, output_stride=8, filters=2), 21)
    config = model.get_config()
    expected = {"convolutions": 1, "concatenate": False, "filters": 512, "kernel": 3, "dropout": 0.1}
    expected |= {"upsampling": "size", "epsilon": 1e-5}
    assert {name: config[name] for name in expected} == expected
    assert model.get_layer("head1_conv").kernel_size == (3, 3)
    assert model.get_layer("dropout").rate == 0.1


@pytest.mark.parametrize(
    "arguments", [{"convolutions": 0}, {"filters": 0}, {"kernel": 2}, {"concatenate": "no"}, {"epsilon": 0}]
)
def test_refusals(arguments):
    with pytest.raises(SettingsError, match=f"`{next(iter(arguments))}` must be"):
        DilatedFCN(ResNet(18, filters=1), 3, **arguments)
