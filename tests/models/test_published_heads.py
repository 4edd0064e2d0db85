"""The heads of published networks, written in PyTorch's functions as their programs have them, on the same features."""

import numpy as np
import pytest

import kseg
from kseg import models

torch = pytest.importorskip("torch")
torch_networks = pytest.importorskip("tests.models.torch_networks")
F = torch.nn.functional
pytestmark = pytest.mark.parity
IMAGE = np.random.default_rng(0).integers(0, 256, (1, 75, 98, 3)).astype("uint8")
EVEN = np.random.default_rng(0).integers(0, 256, (1, 96, 128, 3)).astype("uint8")


class Torch:
    """Layers of a kseg model, run by PyTorch."""

    def __init__(self, model, image, epsilon):
        torch_networks.randomise(model)
        self.layer, self.epsilon, self.size = model.get_layer, epsilon, image.shape[1:3]
        found = model.backbone(image)
        self.stages = {
            name: torch.from_numpy(np.asarray(y).transpose(0, 3, 1, 2)) for name, y in found.items()
        }

    def conv(self, x, name, rate=1, groups=1):
        layer = self.layer(name)
        depthwise = type(layer).__name__ == "DepthwiseConv2D"
        kernel = torch_networks.array(layer.weights[0]).permute((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        bias = torch_networks.array(layer.bias) if layer.use_bias else None
        pad = rate * (kernel.shape[-1] // 2)
        return F.conv2d(x, kernel, bias, 1, pad, rate, x.shape[1] if depthwise else 1)

    def bn(self, x, name):
        layer = self.layer(name)
        gamma, beta, mean, variance = map(torch_networks.array, layer.weights)
        return F.batch_norm(x, mean, variance, gamma, beta, False, 0.0, self.epsilon)

    def unit(self, x, name, rate=1):
        """Convolution, normalisation, ReLU."""
        return F.relu(self.bn(self.conv(x, f"{name}_conv", rate), f"{name}_bn"))

    def separable(self, x, name, rate=1, between=True):
        x = self.conv(x, f"{name}_dwconv", rate)
        if between:
            x = F.relu(self.bn(x, f"{name}_dwconv_bn"))
        return self.unit(x, name)

    def image_level(self, x):
        y = self.unit(F.adaptive_avg_pool2d(x, 1), "image_level")
        return F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=False)

    def resized(self, x, size=None, corners=False):
        return F.interpolate(x, size or self.size, mode="bilinear", align_corners=corners)


def backbone(**changes):
    return kseg.backbones.ResNet(50, filters=4, **{"output_stride": 8, **kseg.backbones.TORCH, **changes})


def check(model, theirs, image, factor=2e-5):
    torch_networks.assert_close(model(image), theirs, factor)
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(np.asarray(again(image)), np.asarray(model(image)))


def test_torchvision_deeplabv3():
    model = models.DeepLabV3(backbone(), 5, rates=(2, 4, 6), filters=6)
    t = Torch(model, IMAGE, 1e-5)
    x = t.stages["stage5"]
    branches = [t.unit(x, "aspp_1x1"), *(t.unit(x, f"aspp_{r}", r) for r in (2, 4, 6)), t.image_level(x)]
    x = t.unit(t.unit(torch.cat(branches, 1), "projection"), "head")
    check(model, t.resized(t.conv(x, "score")), IMAGE)


def test_mmsegmentation_deeplabv3():
    """Its image level comes first: the projection's input channels are turned."""
    model = models.DeepLabV3(backbone(), 5, rates=(2, 4), filters=6, projection=3, head=False, dropout=0.1)
    t = Torch(model, IMAGE, 1e-5)
    x = t.stages["stage5"]
    branches = [t.unit(x, "aspp_1x1"), t.unit(x, "aspp_2", 2), t.unit(x, "aspp_4", 4), t.image_level(x)]
    x = t.unit(torch.cat(branches, 1), "projection")
    check(model, t.resized(t.conv(x, "score")), IMAGE)


def test_deeplabv3_without_rates_and_with_corners():
    """MobileNetV2's head in TensorFlow's release: the image level and one 1x1 convolution."""
    model = models.DeepLabV3(
        backbone(), 5, rates=(), filters=6, head=False, upsampling="corners", epsilon=0.1
    )
    t = Torch(model, IMAGE, 0.1)
    x = t.stages["stage5"]
    x = t.unit(torch.cat([t.unit(x, "aspp_1x1"), t.image_level(x)], 1), "projection")
    check(model, t.resized(t.conv(x, "score"), corners=True), IMAGE)


@pytest.mark.parametrize(("convolutions", "concatenate"), [(1, False), (2, True)])
def test_torchvision_and_mmsegmentation_fcn(convolutions, concatenate):
    model = models.DilatedFCN(backbone(), 5, convolutions=convolutions, concatenate=concatenate, filters=6)
    t = Torch(model, IMAGE, 1e-5)
    x = features = t.stages["stage5"]
    for number in range(convolutions):
        x = t.unit(x, f"head{number + 1}")
    if concatenate:
        x = t.unit(torch.cat([features, x], 1), "mix")
    check(model, t.resized(t.conv(x, "score")), IMAGE)


def test_mmsegmentation_deeplabv3plus():
    model = models.DeepLabV3Plus(
        backbone(), 5, rates=(2, 4), filters=6, projection=3, low_level_filters=3, upsampling="size", epsilon=1e-5
    )  # fmt: skip
    t = Torch(model, IMAGE, 1e-5)
    x, low = t.stages["stage5"], t.unit(t.stages["stage2"], "low_level")
    branches = [t.unit(x, "aspp_1x1"), *(t.separable(x, f"aspp_{r}", r) for r in (2, 4)), t.image_level(x)]
    x = t.resized(t.unit(torch.cat(branches, 1), "projection"), low.shape[2:])
    x = t.separable(t.separable(torch.cat([x, low], 1), "decoder1"), "decoder2")
    check(model, t.resized(t.conv(x, "score")), IMAGE)


def test_smp_deeplabv3plus():
    """At output stride 16; sizes must divide by it, as there."""
    model = models.DeepLabV3Plus(
        backbone(output_stride=16), 5, rates=(2, 4), filters=6, low_level_filters=3, normalize_depthwise=False,
        mix=True, decoder_convolutions=1, align_corners=True, upsampling="corners", epsilon=1e-5,
    )  # fmt: skip
    t = Torch(model, EVEN, 1e-5)
    x, low = t.stages["stage5"], t.unit(t.stages["stage2"], "low_level")
    branches = [t.unit(x, "aspp_1x1"), *(t.separable(x, f"aspp_{r}", r, False) for r in (2, 4))]
    x = t.unit(torch.cat([*branches, t.image_level(x)], 1), "projection")
    x = F.interpolate(t.separable(x, "mix", 1, False), scale_factor=4, mode="bilinear", align_corners=True)
    x = t.conv(t.separable(torch.cat([x, low], 1), "decoder1", 1, False), "score")
    check(model, F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=True), EVEN)


def test_keras_hub_deeplabv3plus():
    """Full convolutions, one 1x1 in the decoder, and scores behind the last upsampling: it commutes with them."""
    model = models.DeepLabV3Plus(
        backbone(output_stride=32), 5, rates=(2, 4), filters=6, low_level_filters=3, separable=False,
        decoder_convolutions=1, decoder_kernel=1, upsampling="size",
    )  # fmt: skip
    t = Torch(model, EVEN, 1e-3)
    x, low = t.stages["stage5"], t.unit(t.stages["stage2"], "low_level")
    branches = [t.unit(x, "aspp_1x1"), *(t.unit(x, f"aspp_{r}", r) for r in (2, 4)), t.image_level(x)]
    x = F.interpolate(t.unit(torch.cat(branches, 1), "projection"), scale_factor=8, mode="bilinear")
    x = F.interpolate(t.unit(torch.cat([x, low], 1), "decoder1"), scale_factor=4, mode="bilinear")
    check(model, t.conv(x, "score"), EVEN)


@pytest.mark.parametrize("way", ["size", "corners", "cells", "centres"])
def test_mmsegmentation_pspnet_and_every_way_of_upsampling(way):
    aligned = way in ("corners", "cells")
    model = models.PSPNet(backbone(), 5, bins=(1, 3), filters=6, align_corners=aligned, upsampling=way)
    t = Torch(model, IMAGE, 1e-5)
    x, pyramid = t.stages["stage5"], model.get_layer("pyramid")
    levels = []
    for bins, conv, bn in zip((1, 3), pyramid.convolutions, pyramid.normalizations, strict=True):
        t.layer = {"c_conv": conv, "c_bn": bn}.__getitem__
        y = t.unit(F.adaptive_avg_pool2d(x, bins), "c")
        levels.append(F.interpolate(y, x.shape[2:], mode="bilinear", align_corners=aligned))
    t.layer = model.get_layer
    x = t.conv(F.relu(t.bn(t.conv(torch.cat([x, *levels], 1), "conv"), "bn")), "score")
    rows, columns = x.shape[2:]
    if way == "cells":  # one more row and column, copies of the last; then Interp on 8 k + 1 pixels
        x = F.pad(x, (0, 1, 0, 1), mode="replicate")
        x = t.resized(x, (8 * rows + 1, 8 * columns + 1), corners=True)
    elif way == "centres":
        x = t.resized(x, (8 * rows, 8 * columns))
    else:
        x = t.resized(x, corners=way == "corners")
    check(model, x[:, :, : IMAGE.shape[1], : IMAGE.shape[2]], IMAGE)


def test_smp_pspnet():
    """A 1x1 convolution behind the levels, and a 3x3 one that scores; a level without normalisation, but with a bias,
    is one whose statistics change nothing."""
    model = models.PSPNet(
        backbone(output_stride=8), 5, bins=(1, 2), filters=6, kernel=1, score_kernel=3, upsampling="corners"
    )
    t = Torch(model, EVEN, 1e-5)
    pyramid, x = model.get_layer("pyramid"), t.stages["stage5"]
    levels, bias = [], np.random.default_rng(2).normal(size=6).astype("float32")
    first = pyramid.normalizations[0]
    for variable, value in zip(first.weights, (1, bias, 0, 1 - 1e-5), strict=True):
        variable.assign(np.broadcast_to(value, (6,)))
    kernel = torch_networks.array(pyramid.convolutions[0].kernel).permute(3, 2, 0, 1)
    levels.append(F.relu(F.conv2d(F.adaptive_avg_pool2d(x, 1), kernel, torch.from_numpy(bias))))
    t.layer = {"c_conv": pyramid.convolutions[1], "c_bn": pyramid.normalizations[1]}.__getitem__
    levels.append(t.unit(F.adaptive_avg_pool2d(x, 2), "c"))
    t.layer = model.get_layer
    levels = [t.resized(y, x.shape[2:], corners=True) for y in levels]
    x = t.conv(F.relu(t.bn(t.conv(torch.cat([x, *levels], 1), "conv"), "bn")), "score")
    check(model, t.resized(x, corners=True), EVEN)


def test_torchvision_lraspp():
    model = models.LRASPP(backbone(output_stride=16), 5, filters=6, upsampling="size", epsilon=1e-5)
    t = Torch(model, IMAGE, 1e-5)
    x, low = t.stages["stage5"], t.stages["stage3"]
    features = F.relu(t.bn(t.conv(x, "features"), "features_bn"))
    scale = torch.sigmoid(t.conv(F.adaptive_avg_pool2d(x, 1), "scale"))
    x = t.resized(features * scale, low.shape[2:])
    check(model, t.resized(t.conv(low, "low_score") + t.conv(x, "score")), IMAGE)
