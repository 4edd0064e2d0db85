"""MobileNetV3 against torchvision's `_mobilenet_v3_conf`, run by PyTorch's functions on the same weights."""

import numpy as np
import pytest

from kseg.backbones import TORCH, MobileNetV3
from kseg.errors import SettingsError

IMAGE = np.random.default_rng(0).integers(0, 256, (1, 75, 98, 3)).astype("uint8")
# input, kernel, expanded, output, squeeze and excitation, hard swish, stride: torchvision's table
LARGE = (
    (16, 3, 16, 16, 0, 0, 1), (16, 3, 64, 24, 0, 0, 2), (24, 3, 72, 24, 0, 0, 1), (24, 5, 72, 40, 1, 0, 2),
    (40, 5, 120, 40, 1, 0, 1), (40, 5, 120, 40, 1, 0, 1), (40, 3, 240, 80, 0, 1, 2), (80, 3, 200, 80, 0, 1, 1),
    (80, 3, 184, 80, 0, 1, 1), (80, 3, 184, 80, 0, 1, 1), (80, 3, 480, 112, 1, 1, 1), (112, 3, 672, 112, 1, 1, 1),
    (112, 5, 672, 160, 1, 1, 2), (160, 5, 960, 160, 1, 1, 1), (160, 5, 960, 160, 1, 1, 1),
)  # fmt: skip
SMALL = (
    (16, 3, 16, 16, 1, 0, 2), (16, 3, 72, 24, 0, 0, 2), (24, 3, 88, 24, 0, 0, 1), (24, 5, 96, 40, 1, 1, 2),
    (40, 5, 240, 40, 1, 1, 1), (40, 5, 240, 40, 1, 1, 1), (40, 5, 120, 48, 1, 1, 1), (48, 5, 144, 48, 1, 1, 1),
    (48, 5, 288, 96, 1, 1, 2), (96, 5, 576, 96, 1, 1, 1), (96, 5, 576, 96, 1, 1, 1),
)  # fmt: skip


def features_of_torchvision(backbone, table, image, dilated, epsilon=1e-3):
    """`MobileNetV3.features`: the output of each of its modules."""
    torch = pytest.importorskip("torch")
    nets = pytest.importorskip("tests.models.torch_networks")
    F = torch.nn.functional
    nets.randomise(backbone)

    def conv(x, name, stride=1, rate=1):
        layer = backbone.get_layer(name)
        depthwise = type(layer).__name__ == "DepthwiseConv2D"
        kernel = nets.array(layer.weights[0]).permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        bias = nets.array(layer.bias) if layer.use_bias else None
        pad = (kernel.shape[-1] - 1) // 2 * rate
        return F.conv2d(x, kernel, bias, stride, pad, rate, x.shape[1] if depthwise else 1)

    def unit(x, name, activation, **settings):
        gamma, beta, mean, variance = map(nets.array, backbone.get_layer(f"{name}_bn").weights)
        x = F.batch_norm(
            conv(x, f"{name}_conv", **settings), mean, variance, gamma, beta, False, 0.0, epsilon
        )
        return activation(x)

    x = unit(nets.normalised(image, TORCH["mean"], TORCH["std"]), "stem", F.hardswish, stride=2)
    found = [x]
    for number, (i, _, expanded, o, squeeze, hard, stride) in enumerate(table, start=1):
        # the last stage of 3 blocks is dilated by 2, at once, and does not stride
        rate = 2 if dilated and number > len(table) - 3 else 1
        activation, y, name = F.hardswish if hard else F.relu, x, f"block{number}"
        if expanded != i:
            y = unit(y, f"{name}_expand", activation)
        y = unit(y, f"{name}_dw", activation, stride=1 if rate > 1 else stride, rate=rate)
        if squeeze:
            gate = F.relu(conv(F.adaptive_avg_pool2d(y, 1), f"{name}_fc1"))
            y = y * F.hardsigmoid(conv(gate, f"{name}_fc2"))
        y = unit(y, f"{name}_project", lambda t: t)
        x = x + y if stride == 1 and i == o else y
        found.append(x)
    return [*found, unit(x, "last", F.hardswish)]


@pytest.mark.parity
@pytest.mark.parametrize(
    ("variant", "table", "output_stride", "first"),
    [
        ("large", LARGE, 32, (0, 2, 4, 7, 16)),
        ("large", LARGE, 16, (0, 2, 4, 7, 16)),
        ("small", SMALL, 16, (0, 1, 2, 4, 12)),
    ],
)
def test_features_of_torchvision(variant, table, output_stride, first):
    nets = pytest.importorskip("tests.models.torch_networks")
    settings = {"output_stride": output_stride, "stage_block": "first"}
    backbone = MobileNetV3(variant, **settings)
    theirs = features_of_torchvision(backbone, table, IMAGE, output_stride == 16)
    for place, (name, found) in zip(first, backbone(IMAGE).items(), strict=True):
        nets.assert_close(found, theirs[place], 5e-5), name


@pytest.mark.parity
def test_last_blocks_are_those_ahead_of_a_stride():
    nets = pytest.importorskip("tests.models.torch_networks")
    backbone = MobileNetV3("large", output_stride=16)
    theirs = features_of_torchvision(backbone, LARGE, IMAGE, True)
    for place, found in zip((1, 3, 6, 12, 16), backbone(IMAGE).values(), strict=True):
        nets.assert_close(found, theirs[place], 5e-5)


def test_parameters_of_the_published_network():
    """torchvision's mobilenet_v3_large has 5,483,032, of which the classifier has 960*1280+1280 + 1280*1000+1000."""
    backbone = MobileNetV3("large")
    statistics = sum(int(np.prod(v.shape)) for v in backbone.non_trainable_variables)
    assert backbone.count_params() - statistics == 5_483_032 - (960 * 1280 + 1280) - (1280 * 1000 + 1000)
    small = MobileNetV3("small")
    statistics = sum(int(np.prod(v.shape)) for v in small.non_trainable_variables)
    assert small.count_params() - statistics == 2_542_856 - (576 * 1024 + 1024) - (1024 * 1000 + 1000)


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("stage_block", ["first", "last"])
def test_stage_sizes(output_stride, stage_block):
    backbone = MobileNetV3("small", width=0.25, output_stride=output_stride, stage_block=stage_block)
    for number, features in enumerate(backbone(np.zeros((1, 65, 97, 3), "uint8")).values(), start=1):
        stride = min(2**number, output_stride)
        assert features.shape[1:3] == (64 // stride + 1, 96 // stride + 1)


@pytest.mark.parametrize(
    "arguments",
    [{"variant": "mini"}, {"output_stride": 4}, {"width": 0}, {"padding": "valid"}, {"std": (1, 1, 0)}],
)
def test_refusals(arguments):
    with pytest.raises(SettingsError, match=f"`{next(iter(arguments))}` must be"):
        MobileNetV3(**arguments)
