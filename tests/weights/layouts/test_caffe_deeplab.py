"""DeepLab v1's and v2's released Caffe files, against OpenCV's importer."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import SOURCES, identify, import_weights
from kseg.weights.layouts import caffe_deeplab
from tests.weights.conftest import caffemodel
from tests.weights.layouts.conftest import CaffeNet, assert_same_logits, bgr, image_of

MEAN = (122.675, 116.669, 104.008)
SIDE = 97


class VGG(CaffeNet):
    """The dilated VGG16 of both releases."""

    def __init__(self):
        super().__init__(SIDE, SIDE)
        inputs = 3
        for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
            for number in range(1, count + 1):
                rate = 2 if block == 5 else 1
                self.conv(f"conv{block}_{number}", inputs, width, 3, pad=rate, rate=rate)
                inputs = width
            self.pool(f"pool{block}", 3, 2 if block < 4 else 1, 1)

    def zoom(self, name="interp"):
        return self.layer(name, "Interp", f"interp_param {{ height: {SIDE} width: {SIDE} }}")


@pytest.mark.parity
@pytest.mark.slow
def test_v1_large_field_of_view(folder):
    """The release is of Caffe's first format, with legacy shapes."""
    net, image = VGG(), image_of(SIDE, SIDE)
    net.pool("pool5a", 3, 1, 1, method="AVE")
    net.conv("fc6", 512, 1024, 3, pad=12, rate=12)
    net.conv("fc7", 1024, 1024, 1)
    net.conv("fc8_voc12", 1024, 5, 1, relu=False)
    net.zoom()
    expected, file = net.logits(bgr(image, MEAN), folder, first_format=True)
    found = import_weights(file)
    assert found.source == "caffe/deeplabv1"
    assert_same_logits(found.model, image, expected)


BRANCHES = {"data": (3, 1), "pool1": (64, 2), "pool2": (128, 4), "pool3": (256, 8), "pool4": (512, 8)}


def multi_scale(side, filters, rate):
    """The release's test.prototxt: branches of stride 1, and the sum of what is upsampled."""
    net, scores = VGG(), []
    if side == 3:
        net.pool("pool5a", 3, 1, 1, method="AVE")
    net.conv("fc6", 512, filters, side, pad=rate * (side - 1) // 2, rate=rate)
    net.conv("fc7", filters, filters, 1)
    net.conv("fc8_pascal", filters, 5, 1, relu=False)
    net.zoom("fc8_interp")
    scores.append(net.top)
    for name, (channels, _) in BRANCHES.items():
        net.conv(f"{name}_conv", channels, 128, 3, pad=1, bottom=name, gain=1e-3 if name == "data" else 1.7)
        net.conv(f"{name}_fc", 128, 128, 1)
        net.conv(f"{name}_ms", 128, 5, 1, relu=False)
        scores.append(net.top if name == "data" else net.zoom(f"{name}_interp"))
    net.total("fc_fusion", scores)
    return net


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("fc6", [(3, 1024, 12), (4, 64, 4)], ids=["large field of view", "4x4"])
def test_v1_multi_scale(fc6, folder, monkeypatch):
    net, image = multi_scale(*fc6), image_of(SIDE, SIDE)
    expected, file = net.logits(bgr(image, MEAN), folder, first_format=True)
    if fc6[0] == 4:  # narrowed, where the release has 4096
        monkeypatch.setattr(caffe_deeplab, "FIRST_FILTERS", fc6[1])
    found = import_weights(file)
    assert (found.source, found.unused) == ("caffe/deeplabv1", ())
    assert_same_logits(found.model, image, expected)


def v2_vgg16():
    net = VGG()
    deepest, branches = net.top, []
    for branch, rate in enumerate((6, 12, 18, 24), start=1):
        net.conv(f"fc6_{branch}", 512, 64, 3, pad=rate, rate=rate, bottom=deepest)
        net.conv(f"fc7_{branch}", 64, 64, 1)
        branches.append(net.conv(f"fc8_voc12_{branch}", 64, 5, 1, relu=False))
    net.total("fc8_voc12", branches)
    net.zoom()
    return net


@pytest.mark.parity
@pytest.mark.slow
def test_v2_vgg16(folder):
    net, image = v2_vgg16(), image_of(SIDE, SIDE)
    expected, file = net.logits(bgr(image, MEAN), folder)
    found = import_weights(file)
    assert found.source == "caffe/deeplabv2_vgg16"
    assert_same_logits(found.model, image, expected)


class ResNet101(CaffeNet):
    """He's names and BVLC's pairs of BatchNorm (with its divisor) and Scale."""

    def unit(self, place, inputs, outputs, side, *, stride=1, rate=1, relu=True, bottom=None, gain=1.7):
        pad = rate * (side // 2) if side < 7 else 3
        name = f"res{place}" if place else "conv1"
        self.conv(
            name,
            inputs,
            outputs,
            side,
            stride=stride,
            pad=pad,
            rate=rate,
            bias=False,
            relu=False,
            bottom=bottom,
            gain=gain,
        )
        divisor = 999.98
        mean, variance = self.rng.normal(0, 0.2, outputs), self.rng.uniform(0.3, 1.5, outputs)
        blobs = [mean * divisor, variance * divisor, np.array([divisor])]
        scale = [self.rng.uniform(0.5, 1.2, outputs), self.rng.normal(0, 0.2, outputs)]
        suffix = place or "_conv1"
        self.layer(f"bn{suffix}", "BatchNorm", "batch_norm_param { use_global_stats: true }", blobs=blobs)
        self.layer(f"scale{suffix}", "Scale", "scale_param { bias_term: true }", blobs=scale)
        return self.relu() if relu else self.top

    def __init__(self):
        super().__init__(SIDE, SIDE)
        self.unit("", 3, 64, 7, stride=2)
        self.pool("pool1", 3, 2, 1)
        inputs = 64
        for stage, (count, width, stride, rate) in enumerate(
            ((3, 64, 1, 1), (4, 128, 2, 1), (23, 256, 1, 2), (3, 512, 1, 4)), start=2
        ):
            for block in range(count):
                letter = ("a" if block == 0 else f"b{block}") if stage in (3, 4) else "abc"[block]
                place, entry, step = f"{stage}{letter}_branch", self.top, stride if block == 0 else 1
                self.unit(f"{place}2a", inputs, width, 1, stride=step)
                self.unit(f"{place}2b", width, width, 3, rate=rate)
                # Small, that twenty-three sums do not blow up: they would hide a wrong mean.
                out = self.unit(f"{place}2c", width, 4 * width, 1, relu=False, gain=0.1)
                if block == 0:
                    entry = self.unit(
                        f"{place}1", inputs, 4 * width, 1, stride=step, relu=False, bottom=entry
                    )
                self.total(f"sum{stage}{letter}", [entry, out])
                self.relu()
                inputs = 4 * width
        deepest, branches = self.top, []
        for branch, rate in enumerate((6, 12, 18, 24)):
            branches.append(
                self.conv(f"fc1_voc12_c{branch}", 2048, 5, 3, pad=rate, rate=rate, relu=False, bottom=deepest)
            )
        self.total("fc1_voc12", branches)
        self.layer("interp", "Interp", f"interp_param {{ height: {SIDE} width: {SIDE} }}")


@pytest.mark.parity
@pytest.mark.slow
def test_v2_resnet_101(folder):
    net, image = ResNet101(), image_of(SIDE, SIDE)
    expected, file = net.logits(bgr(image, MEAN), folder)
    # The file of the multi-scale net has every layer three times.
    repeated = {f"{name}_res075": net.layers[name] for name in ("conv1", "bn_conv1", "fc1_voc12_c0")}
    file.write_bytes(caffemodel(net.layers | repeated))
    found = import_weights(file)
    assert found.source == "caffe/deeplabv2_resnet101"
    assert {key.split("/")[0] for key in found.unused} == set(repeated)
    assert_same_logits(found.model, image, expected)


def test_files_are_told_apart():
    blob = np.zeros((2, 3, 1, 1), "f4")
    assert identify({"fc6/0": blob, "fc8_voc12/0": blob}) == "caffe/deeplabv1"
    assert identify({"fc6_1/0": blob, "fc8_voc12_1/0": blob}) == "caffe/deeplabv2_vgg16"
    assert identify({"fc1_voc12_c0/0": blob}) == "caffe/deeplabv2_resnet101"


@pytest.mark.parametrize("side", [4, 7])
def test_the_first_networks_of_v1_have_to_be_named(side, folder):
    """Their blobs do not say whether pooling is of 2x2 or 3x3."""
    shapes = {"fc6": (4096, 2, side, side), "fc7": (4096, 4096, 1, 1), "fc8_pascal": (21, 4096, 1, 1)}
    blobs = {f"{name}/0": np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    assert identify(blobs) == "caffe/deeplabv1"
    with pytest.raises(ModelError, match="caffe/deeplabv1-pool3"):
        SOURCES["caffe/deeplabv1"].build(blobs, 8)
