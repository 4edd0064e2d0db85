"""Every variant of ResNet against PyTorch's modules put together as torchvision, mmsegmentation and smp do."""

import numpy as np
import pytest

from kseg.backbones import TORCH, ResNet
from kseg.backbones.resnet import BLOCKS

pytestmark = pytest.mark.parity
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 75, 98, 3)).astype("uint8")

CASES = {
    "torchvision": ({"first_rate": "previous"}, {}),
    "torchvision at 16": ({"first_rate": "previous", "output_stride": 16}, {"output_stride": 16}),
    "torchvision at 32": ({"output_stride": 32}, {"output_stride": 32}),
    "smp": ({}, {"previous": False}),
    "mmsegmentation V1c": (
        {"first_rate": "previous", "stem": "deep", "stem_filters": (3, 5, 4)},
        {"stem": (3, 5, 4)},
    ),
    "semseg": ({"stem": "deep"}, {"stem": (4, 4, 8), "previous": False}),
    "V1d": (
        {"first_rate": "previous", "stem": "deep", "stem_filters": (2, 2, 4), "shortcut": "average"},
        {"stem": (2, 2, 4), "average": True},
    ),
    "V1d at 32": (
        {"output_stride": 32, "shortcut": "average"},
        {"output_stride": 32, "average": True},
    ),
    "multi-grid": ({"multi_grid": (1, 2, 4), "output_stride": 16}, {"grid": (1, 2, 4), "output_stride": 16}),
    "18 of mmsegmentation": (
        {"depth": 18, "first_rate": "previous", "rate_in": "first"},
        {"basic": True, "second": "first"},
    ),
    "34 of smp": ({"depth": 34}, {"basic": True, "previous": False}),
    "18 V1c at 32": (
        {"depth": 18, "stem": "deep", "output_stride": 32},
        {"basic": True, "stem": (4, 4, 8), "output_stride": 32},
    ),
    "ceil": ({"ceil_pooling": True}, {"ceil": True, "previous": False}),
    "epsilon": ({"epsilon": 0.3}, {"epsilon": 0.3, "previous": False}),
}


@pytest.mark.parametrize("case", CASES)
def test_features_of_pytorch(case):
    torch_networks = pytest.importorskip("tests.models.torch_networks")
    ours, theirs = CASES[case]
    settings = {"depth": 50, "output_stride": 8, **TORCH, **ours}
    backbone = ResNet(filters=4, **settings)
    torch_networks.randomise(backbone)
    twin = torch_networks.TorchResNet(BLOCKS[settings["depth"]], 4, **theirs).eval()
    torch_networks.load_pairs(twin.pairs(), backbone.get_layer)
    copied = 2 * sum(1 for _ in twin.pairs())
    assert copied == len([layer for layer in backbone.layers if layer.weights])
    expected = twin(torch_networks.normalised(IMAGE, TORCH["mean"], TORCH["std"]))
    found = list(backbone(IMAGE).values())[1:]
    for one, other in zip(found, expected, strict=True):
        torch_networks.assert_close(one, other)
