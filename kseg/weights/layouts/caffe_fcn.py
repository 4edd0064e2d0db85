"""Key maps of the released Caffe files of FCN and DeconvNet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from kseg.backbones import VGG16, VGG16BatchNorm
from kseg.errors import ModelError
from kseg.models import FCN, DeconvNet
from kseg.weights.axes import CONVOLUTION, turned
from kseg.weights.layouts.caffe import convolution, folded_norm, kernel, vgg_blobs
from kseg.weights.source import Arrays, Source
from kseg.weights.transfer import Move, variables

MEAN = (122.67891434, 116.66876762, 104.00698793)  # red, green, blue
# Deconvolutions of all releases, from the deepest on.
_UPSAMPLING = (
    *("upscore", "upscore2", "score2", "upscore_pool4", "score4"),
    *("upscore16", "upscore8", "upsample", "bigscore"),
)
_SCALE = "scale_pool"


class FCNOfCaffe(Source):
    """FCN-32s, 16s, 8s, 8s at once, and 8s of 2015."""

    name = "caffe/fcn"
    note = "the image padded by 100, BGR without the mean of the release"
    licence = "unrestricted (BVLC model licence), as the authors' page states"
    page = "https://github.com/shelhamer/fcn.berkeleyvision.org"

    def recognises(self, arrays: Arrays) -> bool:
        return "fc7/0" in arrays and f"{self.blob(arrays, 'score_fr')}/0" in arrays

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        """The network whose stride, 32, 16 or 8, is what the file has."""
        if any(key.startswith(("score_fr_sem", "score_fr_geo", "score_fr_geometric")) for key in arrays):
            raise ModelError(f"{self.name}: an FCN with two heads (SIFT Flow), which kseg does not build")
        stride = 8 if f"{self.blob(arrays, 'score_pool3')}/0" in arrays else 32
        stride = 16 if stride == 32 and f"{self.blob(arrays, 'score_pool4')}/0" in arrays else stride
        width = arrays["fc7/0"].shape[0] if arrays["fc7/0"].ndim == 4 and arrays["fc7/0"].shape[0] > 1 else 0
        width = width or int(arrays["fc7/1"].size)
        classes = int(arrays[f"{self.blob(arrays, 'score_fr')}/0"].shape[0])
        bilinear = [is_bilinear(arrays[f"{name}/0"]) for name in self.deconvolutions(arrays)]
        learned = "none" if all(bilinear) else "intermediate" if bilinear[-1:] == [True] else "all"
        scales = []
        for pool in ("pool4", "pool3"):  # the fixed factors on the skips of the "at once" networks
            factors = arrays.get(f"{_SCALE}{pool[-1]}/0", np.ones(1))
            if not (factors == factors.flat[0]).all():
                raise ModelError(
                    f"{self.name}: {_SCALE}{pool[-1]} has a factor of its own for every channel, which kseg does not "
                    "build"
                )
            scales.append(float(factors.flat[0]))
        backbone = VGG16(padding="original", filters=width, mean=MEAN, name="vgg16")
        return FCN(backbone, classes, stride=stride, learned_upsampling=learned, skip_scales=tuple(scales))

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        names = variables(model)
        for layer, blob in {**vgg_blobs(model), "fc6": "fc6", "fc7": "fc7"}.items():
            yield from convolution(layer, blob, names)
        ups = self.deconvolutions(arrays)
        order = [layer.name for layer in model.layers if layer.name.startswith("upsampling_")]
        for layer in ("score_fr", "score_pool4", "score_pool3"):
            if f"{layer}/kernel" in names:
                blob, biases = self.blob(arrays, layer), []
                yield kernel(f"{layer}/kernel", f"{blob}/0")
                if layer != "score_fr":
                    # A deconvolution's bias is added at the same places as that of the layer it is summed with.
                    biases = [f"{ups[order.index(f'upsampling_{layer[6:]}')]}/1"]
                keys = (f"{blob}/1", *(key for key in biases if key in arrays))
                yield Move(
                    f"{layer}/bias",
                    keys,
                    lambda blobs, shape: sum(b.astype(np.float64) for b in blobs).reshape(shape),
                )
        for layer, blob in zip(order, ups, strict=True):
            if f"{layer}/kernel" in names:
                yield turned(f"{layer}/kernel", f"{blob}/0", CONVOLUTION)

    def left_out(self, key: str) -> bool:
        return key.split("/")[0] in _UPSAMPLING or key.startswith(_SCALE)

    def blob(self, arrays: Arrays, layer: str) -> str:
        """The name that a score layer has in this file: with hyphens in those of 2015."""
        return next((n for n in (layer, layer.replace("_", "-")) if f"{n}/0" in arrays), layer)

    def deconvolutions(self, arrays: Arrays) -> list[str]:
        """Those of the file, from the deepest on."""
        return [name for name in _UPSAMPLING if f"{name}/0" in arrays]


def is_bilinear(blob: np.ndarray) -> bool:
    """Whether a deconvolution only upsamples: each class by itself, with Caffe's bilinear kernel."""
    count, _, side, _ = blob.shape
    factor = (side + 1) // 2
    line = 1 - np.abs(np.arange(side) - (factor - 1 if side % 2 else factor - 0.5)) / factor
    expected = np.zeros(blob.shape, np.float32)
    expected[range(count), range(min(count, blob.shape[1]))] = np.outer(line, line)
    return bool(np.allclose(blob, expected, atol=1e-4))


class DeconvNetOfCaffe(Source):
    """The inference file of DeconvNet."""

    name = "caffe/deconvnet"
    note = (
        "made for windows of 224x224; statistics of the batch normalisation are folded into scale and shift: freeze "
        "these layers before training on"
    )
    licence = "research purposes only, as the authors' page states"
    page = "https://github.com/HyeonwooNoh/DeconvNet"
    marks = ("seg-score-voc/0",)

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        if any(f"bn1_1/{number}" in arrays for number in (2, 3)):
            raise ModelError(
                f"{self.name}: its BN layers have statistics of their own; expected the inference file"
            )
        width, classes = int(arrays["fc7/1"].size), int(arrays["seg-score-voc/1"].size)
        return DeconvNet(VGG16BatchNorm(filters=width, mean=MEAN, name="vgg16_bn"), classes)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        names, renamed = variables(model), vgg_blobs(model)
        renamed |= {"fc6": "fc6", "fc7": "fc7", "deconv6": "fc6-deconv", "logits": "seg-score-voc"}
        norms = {"bn6": "bnfc6", "bn7": "bnfc7", "debn6": "fc6-deconv-bn"}
        for layer in model.layers:
            if isinstance(layer, (keras.layers.Conv2D, keras.layers.Conv2DTranspose)):
                yield from convolution(layer.name, renamed.get(layer.name, layer.name), names)
            elif isinstance(layer, keras.layers.BatchNormalization):
                yield from folded_norm(layer.name, norms.get(layer.name, layer.name), layer.epsilon)


SOURCES = (FCNOfCaffe(), DeconvNetOfCaffe())
