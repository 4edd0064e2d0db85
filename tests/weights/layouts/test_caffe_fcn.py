"""FCN's and DeconvNet's released Caffe files, against OpenCV's importer and PyTorch's layers."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import identify, import_weights
from tests.weights.conftest import caffemodel
from tests.weights.layouts.conftest import CaffeNet, assert_same_logits, bgr, bilinear, image_of

MEAN = (122.67891434, 116.66876762, 104.00698793)
SIZE = (75, 98)


class FCN(CaffeNet):
    """`voc-fcn32s`, `16s` and `8s` as their net.py writes them, fc6 and fc7 of 64 filters.

    Args:
        stride: 32, 16 or 8.
        scales: factors on pool4 and pool3, for the net that is trained at once.
        first: names, learned kernel and its bias of the file of 2015.
    """

    def __init__(self, stride, scales=None, first=False, classes=5):
        super().__init__(*SIZE)
        pools, inputs = {}, 3
        for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)), start=1):
            for number in range(1, count + 1):
                self.conv(f"conv{block}_{number}", inputs, width, 3, pad=100 if block == number == 1 else 1)
                inputs = width
            pools[block] = self.pool(f"pool{block}")
        self.conv("fc6", 512, 64, 7)
        self.conv("fc7", 64, 64, 1)
        hyphen = "-" if first else "_"
        self.conv(f"score{hyphen}fr", 64, classes, 1, relu=False)
        crops = {32: (19,), 16: (5, 27), 8: (5, 9, 31)}[stride]
        names = ("score2", "score4") if first else ("upscore2", "upscore_pool4")
        for step, pool in enumerate((4, 3)[: len(crops) - 1]):
            kernel, bias = bilinear(classes, 4), None
            if first and step == 0:
                kernel = kernel + self.rng.normal(0, 0.05, kernel.shape)
                bias = self.rng.normal(0, 0.5, classes)
            up = self.deconv(names[step], kernel, 2, bias)
            self.top = pools[pool]
            if scales:
                factor = [np.full(512 // (1 + (pool == 3)), scales[step], "f4")]
                self.layer(f"scale_pool{pool}", "Scale", "", blobs=factor)
            score = self.conv(f"score{hyphen}pool{pool}", 512 if pool == 4 else 256, classes, 1, relu=False)
            self.top = score
            cropped = self.crop(f"score_pool{pool}c", up, crops[step])
            self.total(f"fuse_pool{pool}", [up, cropped])
        last = {32: "upscore", 16: "upscore16", 8: "upsample" if first else "upscore8"}[stride]
        self.deconv(last, bilinear(classes, 2 * stride), stride)
        self.crop("score", "data", crops[-1])


CASES = {
    "32s": ({"stride": 32}, False),
    "16s": ({"stride": 16}, False),
    "8s": ({"stride": 8}, False),
    "8s at once": ({"stride": 8, "scales": (0.01, 0.0001)}, False),
    "8s of 2015": ({"stride": 8, "first": True}, True),
}


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_fcn_against_opencv(case, folder):
    settings, first_format = CASES[case]
    image = image_of(*SIZE)
    net = FCN(**settings)
    expected, file = net.logits(bgr(image, MEAN), folder, first_format)
    found = import_weights(file)
    assert found.source == "caffe/fcn"
    assert found.model.stride == settings["stride"]
    assert all(key.startswith(("up", "score4", "scale_")) for key in found.unused)
    assert_same_logits(found.model, image, expected)


def deconvnet_blobs(width=32, classes=4):
    """Blobs of the released DeconvNet, fc6 and fc7 narrowed, with folded batch normalisation."""
    rng, layers = np.random.default_rng(0), {}

    def unit(name, norm, shape, outputs, kind="Convolution"):
        fan = np.prod(shape) / outputs
        layers[name] = (kind, [rng.normal(0, (1.7 / fan) ** 0.5, shape), rng.normal(0, 0.1, outputs)])
        if norm:
            layers[norm] = ("BN", [rng.uniform(0.5, 1.2, outputs), rng.normal(0, 0.2, outputs)])

    inputs, widths, depths = 3, (64, 128, 256, 512, 512), (2, 2, 3, 3, 3)
    for block, (outputs, count) in enumerate(zip(widths, depths, strict=True), start=1):
        for number in range(1, count + 1):
            unit(f"conv{block}_{number}", f"bn{block}_{number}", (outputs, inputs, 3, 3), outputs)
            inputs = outputs
    unit("fc6", "bnfc6", (width, 512, 7, 7), width)
    unit("fc7", "bnfc7", (width, width, 1, 1), width)
    unit("fc6-deconv", "fc6-deconv-bn", (width, 512, 7, 7), 512, "Deconvolution")
    inputs = 512
    for block in range(5, 0, -1):
        for number in range(1, depths[block - 1] + 1):
            outputs = widths[max(block - 2, 0)] if number == depths[block - 1] else widths[block - 1]
            unit(
                f"deconv{block}_{number}",
                f"debn{block}_{number}",
                (inputs, outputs, 3, 3),
                outputs,
                "Deconvolution",
            )
            inputs = outputs
    unit("seg-score-voc", None, (classes, 64, 1, 1), classes)
    return {
        name: (kind, [np.asarray(blob, "f4") for blob in blobs]) for name, (kind, blobs) in layers.items()
    }


@pytest.mark.parity
@pytest.mark.slow
def test_deconvnet_against_pytorchs_layers(folder):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    blobs, image = deconvnet_blobs(), image_of(224, 224)
    (folder / "net.caffemodel").write_bytes(caffemodel(blobs))

    def tensors(name):
        return [torch.from_numpy(blob) for blob in blobs[name][1]]

    def normed(x, name):
        scale, shift = tensors(name)
        return functional.relu(x * scale[:, None, None] + shift[:, None, None])

    with torch.no_grad():
        x, switches = torch.from_numpy(bgr(image, MEAN)[None].astype("f4")), {}
        for block, count in enumerate((2, 2, 3, 3, 3), start=1):
            for number in range(1, count + 1):
                x = normed(
                    functional.conv2d(x, *tensors(f"conv{block}_{number}"), padding=1), f"bn{block}_{number}"
                )
            x, switches[block] = functional.max_pool2d(x, 2, 2, return_indices=True)
        x = normed(functional.conv2d(x, *tensors("fc6")), "bnfc6")
        x = normed(functional.conv2d(x, *tensors("fc7")), "bnfc7")
        x = normed(functional.conv_transpose2d(x, *tensors("fc6-deconv")), "fc6-deconv-bn")
        for block in range(5, 0, -1):
            x = functional.max_unpool2d(x, switches[block], 2, 2)
            for number in range(1, (2, 2, 3, 3, 3)[block - 1] + 1):
                x = functional.conv_transpose2d(x, *tensors(f"deconv{block}_{number}"), padding=1)
                x = normed(x, f"debn{block}_{number}")
        expected = functional.conv2d(x, *tensors("seg-score-voc"))[0].permute(1, 2, 0).numpy()
    found = import_weights(folder / "net.caffemodel")
    assert found.source == "caffe/deconvnet"
    assert found.unused == ()
    assert_same_logits(found.model, image, expected)


def test_files_are_told_apart():
    blob = np.zeros((2, 3, 1, 1), "f4")
    assert identify({"score-fr/0": blob, "fc7/0": blob}) == "caffe/fcn"
    assert identify({"seg-score-voc/0": blob, "fc7/0": blob}) == "caffe/deconvnet"
    with pytest.raises(ModelError, match="no source"):
        identify({"fc7/0": blob})
