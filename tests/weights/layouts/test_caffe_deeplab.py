"""DeepLab v1's and v2's released Caffe files, against OpenCV's importer."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import identify, import_weights
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

    def zoom(self):
        self.layer("interp", "Interp", f"interp_param {{ height: {SIDE} width: {SIDE} }}")


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


@pytest.mark.parity
@pytest.mark.slow
def test_v2_vgg16(folder):
    net, image = VGG(), image_of(SIDE, SIDE)
    deepest, branches = net.top, []
    for branch, rate in enumerate((6, 12, 18, 24), start=1):
        net.conv(f"fc6_{branch}", 512, 64, 3, pad=rate, rate=rate, bottom=deepest)
        net.conv(f"fc7_{branch}", 64, 64, 1)
        branches.append(net.conv(f"fc8_voc12_{branch}", 64, 5, 1, relu=False))
    net.total("fc8_voc12", branches)
    net.zoom()
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


def test_the_multi_scale_form_of_v1_is_refused(folder):
    """Its scores see fc7 and five branches of 128 channels."""
    shapes = {"fc6": (1024, 512, 3, 3), "fc7": (1024, 1024, 1, 1), "fc8_voc12": (21, 1664, 1, 1)}
    blobs = {f"{name}/0": np.zeros(shape, "f4") for name, shape in shapes.items()}
    np.savez(
        folder / "net.npz",
        **blobs,
        **{f"{name}/1": np.zeros(shape[0], "f4") for name, shape in shapes.items()},
    )
    with pytest.raises(ModelError, match="multi-scale"):
        import_weights(folder / "net.npz")
