"""The programs that own the formats, as references: images, random statistics, Caffe nets for OpenCV."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.weights.conftest import caffemodel

# Folders of packages that only these tests need, such as `pip install --no-deps --target` makes.
EXTRA = [path for path in os.environ.get("KSEG_PARITY_PACKAGES", "").split(os.pathsep) if path]
_KEPT: list = []  # a library of operators lives as long as its object
MEAN, STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])


def image_of(height, width, seed=0):
    """An image of waves and noise, uint8."""
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 7 + c) * np.cos(y / 5 - c) for c in range(3)], -1) * 90 + 127
    return np.clip(waves + np.random.default_rng(seed).normal(0, 25, waves.shape), 0, 255).astype(np.uint8)


def assert_same_logits(model, image, expected, tolerance=1e-4):
    """At most `tolerance` of the largest logit, and labels equal on 99.99 %, but where two classes tie within it."""
    found = np.asarray(model(image[None].astype("float32"), training=False))[0]
    assert found.shape == expected.shape
    largest = np.abs(expected).max()
    worst = np.abs(found - expected).max() / largest
    print(f"{model.name}: {worst:.1e} of the largest logit {largest:.3g}, deviation {expected.std():.3g}")
    assert worst <= tolerance
    # Labels of the logits, and of what is left without each class's mean: random nets favour one class everywhere.
    for level in (0, expected.mean((0, 1))):
        labels = (expected - level).argmax(-1)
        assert ((found - level).argmax(-1) == labels).mean() >= 0.9999
    assert len(np.unique(labels)) > 1


def assert_same_features(backbone, image, expected, tolerance=1e-4):
    """A backbone's last stage against PyTorch's, (1, channels, rows, columns)."""
    expected = torch_logits(expected)
    features = np.asarray(backbone(image[None].astype("f4"), training=False)[list(backbone.stages)[-1]])[0]
    assert features.shape == expected.shape
    worst = np.abs(features - expected).max() / np.abs(expected).max()
    print(f"{backbone.name}: {worst:.1e} of the largest feature {np.abs(expected).max():.3g}")
    assert worst <= tolerance


class CaffeNet:
    """A Caffe network layer by layer: its prototxt, its random blobs, and what OpenCV says of an image."""

    def __init__(self, height, width, seed=0):
        self.rng, self.layers, self.top = np.random.default_rng(seed), {}, "data"
        self.text = [
            'name: "net"\nlayer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 '
            f"dim: {height} dim: {width} }} }} }}"
        ]

    def layer(self, name, kind, body="", bottoms=None, top=None, blobs=()):
        bottoms = [self.top] if bottoms is None else bottoms
        self.top = top or name
        lines = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        self.text.append(f'layer {{ name: "{name}" type: "{kind}" {lines} top: "{self.top}" {body} }}')
        if blobs:
            self.layers[name] = (kind, [np.asarray(blob, "f4") for blob in blobs])
        return self.top

    def conv(
        self,
        name,
        inputs,
        outputs,
        side,
        *,
        stride=1,
        pad=0,
        rate=1,
        bias=True,
        relu=True,
        bottom=None,
        gain=1.7,
    ):
        kernel = self.rng.normal(0, (gain / (inputs * side * side)) ** 0.5, (outputs, inputs, side, side))
        blobs = [kernel, self.rng.normal(0, 0.2, outputs)][: 1 + bias]
        body = (
            f"convolution_param {{ num_output: {outputs} kernel_size: {side} stride: {stride} pad: {pad} "
            f"dilation: {rate} bias_term: {str(bias).lower()} }}"
        )
        self.layer(name, "Convolution", body, bottom and [bottom], blobs=blobs)
        return self.relu() if relu else self.top

    def relu(self):
        return self.layer(f"relu_{len(self.text)}", "ReLU", top=self.top)

    def pool(self, name, side=2, stride=2, pad=0, method="MAX"):
        return self.layer(
            name,
            "Pooling",
            f"pooling_param {{ pool: {method} kernel_size: {side} stride: {stride} pad: {pad} }}",
        )

    def deconv(self, name, kernel, stride, bias=None):
        """A transposed convolution with a kernel (in, out, rows, columns)."""
        body = (
            f"convolution_param {{ num_output: {kernel.shape[1]} kernel_size: {kernel.shape[2]} stride: {stride} "
            f"bias_term: {str(bias is not None).lower()} }}"
        )
        return self.layer(name, "Deconvolution", body, blobs=[kernel, *([] if bias is None else [bias])])

    def crop(self, name, like, offset):
        return self.layer(name, "Crop", f"crop_param {{ axis: 2 offset: {offset} }}", [self.top, like])

    def total(self, name, bottoms):
        return self.layer(name, "Eltwise", "eltwise_param { operation: SUM }", bottoms)

    def concat(self, name, bottoms):
        return self.layer(name, "Concat", "", bottoms)

    def logits(self, data, folder, first_format=False):
        """OpenCV's result for data (channels, height, width), as (height, width, classes); and the file of blobs.

        OpenCV reads a file in the present format; `first_format` says what kseg is given.
        """
        (folder / "net.prototxt").write_text("\n".join(self.text))
        (folder / "opencv.caffemodel").write_bytes(caffemodel(self.layers))
        np.save(folder / "data.npy", np.ascontiguousarray(data[None], "f4"))
        done = subprocess.run(
            [sys.executable, "-c", _OPENCV, str(folder)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(EXTRA)},
            capture_output=True,
            text=True,
        )
        if done.returncode == 3:
            pytest.skip(
                "needs an OpenCV below 5, which has an importer of Caffe's files (KSEG_PARITY_PACKAGES)"
            )
        assert done.returncode == 0, done.stderr[-2000:]
        file = folder / "net.caffemodel"
        file.write_bytes(caffemodel(self.layers, first_format))
        return np.load(folder / "logits.npy")[0].transpose(1, 2, 0), file


_OPENCV = """
import pathlib, sys
import cv2, numpy as np
if not hasattr(cv2.dnn, "readNetFromCaffe"): raise SystemExit(3)
folder = pathlib.Path(sys.argv[1])
cv2.setNumThreads(2)
net = cv2.dnn.readNetFromCaffe(str(folder / "net.prototxt"), str(folder / "opencv.caffemodel"))
net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
net.enableWinograd(False)
net.setInput(np.load(folder / "data.npy"))
np.save(folder / "logits.npy", net.forward())
"""


def bgr(image, mean):
    """What Caffe's programs feed: blue, green, red without the mean, channels first."""
    return (image.astype("f8") - np.array(mean))[..., ::-1].transpose(2, 0, 1)


def bilinear(classes, side):
    """Caffe's bilinear kernel of a deconvolution, one a class."""
    factor = (side + 1) // 2
    line = 1 - np.abs(np.arange(side) - (factor - 0.5)) / factor
    kernel = np.zeros((classes, classes, side, side), "f4")
    kernel[range(classes), range(classes)] = np.outer(line, line)
    return kernel


@pytest.fixture
def needs():
    """`needs("torchvision")`: the package, from `KSEG_PARITY_PACKAGES` too; skips where it is nowhere."""

    def needs(name):
        sys.path.extend(path for path in EXTRA if path not in sys.path)
        try:
            return _torchvision() if name == "torchvision" else importlib.import_module(name)
        except ImportError as error:
            pytest.skip(
                f"needs {name} ({error}): pip install --no-deps --target FOLDER, KSEG_PARITY_PACKAGES=FOLDER"
            )

    return needs


def _torchvision():
    """Beside a PyTorch of another build its compiled operators do not load; its networks need none of them."""
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        import torch

        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        _KEPT.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            _KEPT[-1].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return importlib.import_module("torchvision")


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path


def randomised(net, seed=0):
    """A PyTorch network whose weights, batch normalisation and its statistics are all drawn anew."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1.2)
                module.bias.normal_(0, 0.2)
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.3, 1.5)
            elif isinstance(module, nn.Conv2d):
                module.weight.normal_(0, (1.6 / module.weight[0].numel()) ** 0.5)
                if module.bias is not None:
                    module.bias.normal_(0, 0.3)
    return net.eval()


def torch_input(image, mean=MEAN, std=STD):
    """An image as PyTorch's programs feed it."""
    import torch

    return torch.from_numpy(((image - mean) / std).transpose(2, 0, 1)[None].astype("f4"))


def torch_logits(output):
    """(1, classes, height, width) as (height, width, classes)."""
    return output[0].detach().numpy().transpose(1, 2, 0)


def assert_same_state(found, net):
    """The way back: kseg's numbers under the source's keys are the state dict's, bit for bit."""
    from kseg.weights.importing import SOURCES
    from kseg.weights.transfer import state_of

    state = {key: value.numpy() for key, value in net.state_dict().items()}
    back = state_of(found.model, SOURCES[found.source].moves(found.model, state))
    assert back.keys() == set(found.copied)
    for key, value in back.items():
        np.testing.assert_array_equal(value, state[key], err_msg=key)


def unit_state(rng, conv, bn, inputs, outputs, side=1, groups=1):
    """Arrays of a convolution without bias and of its batch normalisation, under PyTorch's names."""
    found = {f"{conv}.weight": rng.normal(size=(outputs, inputs // groups, side, side)).astype("f4")}
    found |= {f"{bn}.{name}": rng.uniform(0.5, 1.5, outputs).astype("f4") for name in ("weight", "bias")}
    return found | {
        f"{bn}.running_{name}": rng.uniform(0.5, 1.5, outputs).astype("f4") for name in ("mean", "var")
    }


def score_state(rng, name, inputs, classes):
    """Arrays of a 1x1 convolution with bias."""
    return {
        f"{name}.weight": rng.normal(size=(classes, inputs, 1, 1)).astype("f4"),
        f"{name}.bias": rng.normal(size=classes).astype("f4"),
    }


_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
_STEMS = {
    "conv1": [("conv1", "bn1", 3, 4, 7)],
    "stem": [("stem.0", "stem.1", 3, 2, 3), ("stem.3", "stem.4", 2, 2, 3), ("stem.6", "stem.7", 2, 4, 3)],
    "timm": [("conv1.0", "conv1.1", 3, 2, 3), ("conv1.3", "conv1.4", 2, 2, 3), ("conv1.6", "bn1", 2, 4, 3)],
    "layer0": [
        ("layer0.0", "layer0.1", 3, 4, 3),
        ("layer0.3", "layer0.4", 4, 4, 3),
        ("layer0.6", "layer0.7", 4, 8, 3),
    ],
}


def resnet_state(depth, stem="conv1", prefix="", width=4, average=False):
    """A state dict of random numbers as PyTorch's programs name it, counted from the papers' tables."""
    rng, found = np.random.default_rng(0), {}

    def unit(conv, bn, inputs, outputs, side):
        found.update(unit_state(rng, prefix + conv, prefix + bn, inputs, outputs, side))

    for one in _STEMS[stem]:
        unit(*one)
    inputs, basic = _STEMS[stem][-1][3], depth < 50
    for stage, count in enumerate(_BLOCKS[depth], start=1):
        wide = width * 2 ** (stage - 1)
        out = wide if basic else 4 * wide
        for block in range(count):
            name = f"layer{stage}.{block}."
            sides = (
                ((inputs, wide, 3), (wide, out, 3))
                if basic
                else ((inputs, wide, 1), (wide, wide, 3), (wide, out, 1))
            )
            for number, sizes in enumerate(sides, start=1):
                unit(f"{name}conv{number}", f"{name}bn{number}", *sizes)
            if inputs != out or (stage > 1 and block == 0):
                first = int(average)
                unit(f"{name}downsample.{first}", f"{name}downsample.{first + 1}", inputs, out, 1)
            inputs = out
    return found
