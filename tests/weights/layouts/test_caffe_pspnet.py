"""PSPNet's released Caffe files, against OpenCV's importer."""

import numpy as np
import pytest

from kseg.weights import import_weights
from tests.weights.layouts.conftest import CaffeNet, assert_same_logits, bgr, image_of

VGG_MEAN = (123.68, 116.779, 103.939)


class PSPNet(CaffeNet):
    """The released prototxt's layers, its BN written as the Scale that OpenCV reads and as the BN that kseg reads."""

    def norm(self, name, width, relu=True):
        blobs = [self.rng.uniform(0.5, 1.2, width), self.rng.normal(0, 0.2, width)]
        blobs += [self.rng.normal(0, 0.2, width), self.rng.uniform(0.3, 1.5, width)]
        slope, bias, mean, variance = blobs
        scale = slope / np.sqrt(variance + 1e-5)
        self.layer(name, "Scale", "scale_param { bias_term: true }", blobs=[scale, bias - mean * scale])
        self.norms[name] = ("BN", [blob.reshape(1, -1, 1, 1).astype("f4") for blob in blobs])
        return self.relu() if relu else self.top

    def unit(self, name, inputs, outputs, side, relu=True, **settings):
        pad = settings.pop("rate", 1) * (side // 2)
        self.conv(name, inputs, outputs, side, pad=pad, rate=max(pad, 1), bias=False, relu=False, **settings)
        return self.norm(f"{name}/bn", outputs, relu)

    def block(self, name, inputs, width, stride, rate, project):
        entry = self.top
        self.unit(f"{name}_1x1_reduce", inputs, width, 1, stride=stride)
        self.unit(f"{name}_3x3", width, width, 3, rate=rate)
        out = self.unit(f"{name}_1x1_increase", width, 4 * width, 1, relu=False)
        if project:
            entry = self.unit(
                f"{name}_1x1_proj", inputs, 4 * width, 1, relu=False, stride=stride, bottom=entry
            )
        self.total(f"{name}_sum", [entry, out])
        return self.relu()

    def __init__(self, side, classes):
        super().__init__(side, side)
        self.norms = {}
        self.unit("conv1_1_3x3_s2", 3, 64, 3, stride=2)
        self.unit("conv1_2_3x3", 64, 64, 3)
        self.unit("conv1_3_3x3", 64, 128, 3)
        self.pool("pool1_3x3_s2", 3, 2, 1)
        inputs = 128
        for stage, (count, width, stride, rate) in enumerate(
            ((3, 64, 1, 1), (4, 128, 2, 1), (6, 256, 1, 2), (3, 512, 1, 4)), start=2
        ):
            for block in range(1, count + 1):
                self.block(
                    f"conv{stage}_{block}", inputs, width, stride if block == 1 else 1, rate, block == 1
                )
                inputs = 4 * width
        deepest, cells = self.top, (side - 1) // 8 + 1
        levels = []
        for bins in (1, 2, 3, 6):
            size, step = (
                -(-cells // bins),
                cells // bins,
            )  # the release's kernel and stride, where cells divide
            self.top = deepest
            self.pool(f"conv5_3_pool{bins}", size, step, method="AVE")
            self.unit(f"conv5_3_pool{bins}_conv", 2048, 512, 1)
            levels.append(
                self.layer(
                    f"conv5_3_pool{bins}_interp",
                    "Interp",
                    f"interp_param {{ height: {cells} width: {cells} }}",
                )
            )
        self.concat("conv5_3_concat", [deepest, *reversed(levels)])
        self.unit("conv5_4", 4096, 512, 3)
        self.conv("conv6", 512, classes, 1, relu=False)
        self.layer("conv6_interp", "Interp", f"interp_param {{ height: {side} width: {side} }}")


@pytest.mark.parity
@pytest.mark.slow
def test_resnet_50_against_opencv(folder):
    """On 89x89: twelve cells, which the release's poolings divide into 1, 2, 3 and 6 bins."""
    net, image = PSPNet(89, 5), image_of(89, 89)
    expected, file = net.logits(bgr(image, VGG_MEAN), folder)
    net.layers |= net.norms
    net.layers["conv6"] = (net.layers["conv6"][0], net.layers["conv6"][1])
    from tests.weights.conftest import caffemodel

    file.write_bytes(caffemodel(net.layers))
    found = import_weights(file)
    assert found.source == "caffe/pspnet"
    assert found.unused == ()
    assert_same_logits(found.model, image, expected)
