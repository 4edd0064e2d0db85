"""MobileNetV2 against TensorFlow's and torchvision's rules, run by PyTorch's functions on the same weights."""

import math

import numpy as np
import pytest

from kseg.backbones import TORCH, MobileNetV2

IMAGE = np.random.default_rng(0).integers(0, 256, (1, 75, 98, 3)).astype("uint8")


def features(backbone, image, output_stride, mean, std, *, tensorflow, epsilon):
    """Hugging Face's `MobileNetV2Model.layer`, written after slim's: the output of each block, and the last."""
    torch = pytest.importorskip("torch")
    nets = pytest.importorskip("tests.models.torch_networks")
    F = torch.nn.functional
    nets.randomise(backbone)

    def unit(x, name, activation=F.relu6, stride=1, rate=1):
        layer = backbone.get_layer(f"{name}_conv")
        depthwise = type(layer).__name__ == "DepthwiseConv2D"
        kernel = nets.array(layer.weights[0]).permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        span = rate * (kernel.shape[-1] - 1)
        if tensorflow:
            pads = []
            for size in (x.shape[3], x.shape[2]):
                missing = max((math.ceil(size / stride) - 1) * stride + span + 1 - size, 0)
                pads += [missing // 2, missing - missing // 2]
            x = F.pad(x, pads)
        pad = 0 if tensorflow else span // 2
        x = F.conv2d(x, kernel, None, stride, pad, rate, x.shape[1] if depthwise else 1)
        gamma, beta, average, variance = map(nets.array, backbone.get_layer(f"{name}_bn").weights)
        return activation(F.batch_norm(x, average, variance, gamma, beta, False, 0.0, epsilon))

    x = unit(nets.normalised(image, mean, std), "stem", stride=2)
    found, current, dilation, number = [x], 2, 1, 0
    for expansion, repeats, first in (
        (1, 1, 1),
        (6, 2, 2),
        (6, 3, 2),
        (6, 4, 2),
        (6, 3, 1),
        (6, 3, 2),
        (6, 1, 1),
    ):
        for repeat in range(repeats):
            stride, number = first if repeat == 0 else 1, number + 1
            if current == output_stride:
                step, rate = 1, dilation
                dilation *= stride
            else:
                step, rate = stride, 1
                current *= stride
            name = f"block{number}"
            y = x if expansion == 1 else unit(x, f"{name}_expand")
            y = unit(y, f"{name}_dw", stride=step, rate=rate)
            y = unit(y, f"{name}_project", lambda t: t)
            x = x + y if stride == 1 and x.shape[1] == y.shape[1] else y
            found.append(x)
    return [*found, unit(x, "last")]


@pytest.mark.parity
@pytest.mark.parametrize(
    ("output_stride", "settings"),
    [
        (8, {}),
        (16, {}),
        (32, {}),
        (32, {"padding": "symmetric", "mean": TORCH["mean"], "std": TORCH["std"], "epsilon": 1e-5}),
    ],
)
def test_features(output_stride, settings):
    nets = pytest.importorskip("tests.models.torch_networks")
    backbone = MobileNetV2(output_stride=output_stride, **settings)
    mean, std = settings.get("mean", (127.5,) * 3), settings.get("std", (127.5,) * 3)
    rules = {"tensorflow": not settings, "epsilon": settings.get("epsilon", 1e-3)}
    theirs = features(backbone, IMAGE, output_stride, mean, std, **rules)
    for place, found in zip((1, 3, 6, 13, 18), backbone(IMAGE).values(), strict=True):
        nets.assert_close(found, theirs[place])


def test_parameters_of_the_published_network():
    """torchvision's mobilenet_v2 has 3,504,872, of which the classifier has 1280*1000 + 1000."""
    backbone = MobileNetV2()
    statistics = sum(int(np.prod(v.shape)) for v in backbone.non_trainable_variables)
    assert backbone.count_params() - statistics == 3_504_872 - 1_281_000


def test_without_the_last_convolution_the_deepest_map_has_320_channels():
    assert MobileNetV2(last_filters=None).deepest.shape[-1] == 320
