"""Key maps of the released Caffe files of DeepLab v1 and v2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from kseg.backbones import DeepLabVGG16, ResNet
from kseg.errors import ModelError
from kseg.models import DeepLabV1, DeepLabV2
from kseg.weights.layouts.caffe import BLOCK, batch_norm, convolution, kernel, vgg_blobs
from kseg.weights.source import Arrays, Source
from kseg.weights.transfer import Move, variables

FIRST_FILTERS = 4096  # of fc6 and fc7 before LargeFOV
MEAN = (122.675, 116.669, 104.008)  # red, green, blue
# kseg's branches of v1's multi-scale (MSc) networks -> what Caffe's layers begin with.
_BRANCHES = {"image": "data", **{f"pool{number}": f"pool{number}" for number in range(1, 5)}}


class DeepLabOfCaffe(Source):
    """What the three releases share."""

    output_strides = (8,)
    licence = "not stated with the files; the code is BSD"
    page = "http://liangchiehchen.com/projects/DeepLab_Models.html"

    def left_out(self, key: str) -> bool:
        """Multi-scale files of v2 repeat every blob for the image at three quarters and at half of its size."""
        return key.split("/")[0].endswith(("_res075", "_res05"))


class DeepLabTwo(DeepLabOfCaffe):
    """What both networks of v2 share: an ASPP, of whose rates no key tells (those of ASPP-S are 2, 4, 8, 12)."""

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().usual(arrays, known), "aspp_rates": (6, 12, 18, 24)}


class DeepLabOne(DeepLabOfCaffe):
    """v1: LargeFOV, 4x4 and 7x7, and the multi-scale (MSc) networks."""

    name = "caffe/deeplabv1"
    note = (
        "BGR without the mean of the release, whose test padded images to 513x513; of the multi-scale networks the "
        "form for testing"
    )
    pooling_is_given = False

    def recognises(self, arrays: Arrays) -> bool:
        return "fc6/0" in arrays and self.scores(arrays) is not None

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        out, _, side, _ = arrays["fc6/0"].shape
        multi_scale = "data_conv/0" in arrays
        kinds = {(3, 1024): {}, (4, FIRST_FILTERS): {"rate": 4 if multi_scale else 8, "average": False}}
        kinds |= {} if multi_scale else {(7, FIRST_FILTERS): {"rate": 4, "average": False}}
        if (side, out) not in kinds:
            raise ModelError(
                f"{self.name}: fc6 of {side}x{side} and {out} filters is not one of the release's"
            )
        if out == FIRST_FILTERS and not multi_scale and not self.pooling_is_given:
            raise ModelError(
                f"{self.name}: fc6 of {side}x{side} and {out} filters fits two networks: with pooling of 2x2 as in the "
                "release's first one, which kseg does not build, and of 3x3 at the paper's rate: for that, say "
                "caffe/deeplabv1-pool3 with `source` (--source)"
            )
        backbone = DeepLabVGG16(kernel=side, filters=out, name="vgg16", **kinds[side, out])
        classes = int(arrays[f"{self.scores(arrays)}/1"].size)
        return DeepLabV1(backbone, classes, multi_scale="dense" if multi_scale else False)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        blobs = {**vgg_blobs(model), "fc6": "fc6", "fc7": "fc7", "fc8": self.scores(arrays)}
        if model.multi_scale:
            for branch, blob in _BRANCHES.items():
                blobs |= {f"{branch}_conv1": f"{blob}_conv", f"{branch}_conv2": f"{blob}_fc"}
                blobs[f"{branch}_score"] = f"{blob}_ms"
        names = variables(model)
        for layer, blob in blobs.items():
            yield from convolution(layer, blob, names)

    def scores(self, arrays: Arrays) -> str | None:
        """The layer that scores, whose name has that of the data: fc8_voc12."""
        return next((key[:-2] for key in arrays if re.fullmatch(r"fc8_[a-z]\w*/0", key)), None)


class DeepLabOnePool3(DeepLabOne):
    """4x4 and 7x7 with pooling of 3x3, whose keys and shapes are also another network's: only where asked for."""

    name = "caffe/deeplabv1-pool3"
    pooling_is_given = True

    def recognises(self, arrays: Arrays) -> bool:
        return False


class DeepLabTwoVGG(DeepLabTwo):
    """v2 on VGG16 (ASPP-L)."""

    name = "caffe/deeplabv2_vgg16"
    note = "BGR without the mean of the release"
    marks = ("fc8_voc12_1/0",)

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        backbone = DeepLabVGG16(filters=None, average=False, name="vgg16")
        hidden, classes = int(arrays["fc6_1/1"].size), int(arrays["fc8_voc12_1/1"].size)
        return DeepLabV2(backbone, classes, rates=settings["aspp_rates"], hidden=hidden)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        names, blobs = variables(model), vgg_blobs(model)
        for branch in range(1, 5):
            for part, blob in (("fc6", "fc6"), ("fc7", "fc7"), ("fc8", "fc8_voc12")):
                blobs[f"aspp/{part}_{branch}"] = f"{blob}_{branch}"
        for layer, blob in blobs.items():
            yield from convolution(layer, blob, names)


class DeepLabTwoResNet(DeepLabTwo):
    """v2 on ResNet-101 (ASPP-L)."""

    name = "caffe/deeplabv2_resnet101"
    note = (
        "one scale (for the release's 1, 0.75 and 0.5 wrap it in MultiScale); BGR without the "
        "mean of the release"
    )
    marks = ("fc1_voc12_c0/0",)

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        settings = {"epsilon": 1e-5, "mean": MEAN, "frozen_normalization": True}
        backbone = ResNet(101, output_stride=settings["output_stride"], name="resnet101", **settings)
        return DeepLabV2(backbone, int(arrays["fc1_voc12_c0/1"].size), rates=settings["aspp_rates"])

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        yield kernel("conv1_conv/kernel", "conv1/0")
        yield from batch_norm("conv1_bn", "bn_conv1", "scale_conv1")
        branches = {"0": "branch1", "1": "branch2a", "2": "branch2b", "3": "branch2c"}
        for layer in model.layers:
            found = BLOCK.fullmatch(layer.name)
            if not found:
                continue
            stage, block, number, kind = found.groups()
            lettered = f"{stage}{chr(96 + int(block))}"
            numbered = f"{stage}{'a' if block == '1' else f'b{int(block) - 1}'}"
            place = f"{numbered if f'res{numbered}_branch2a/0' in arrays else lettered}_{branches[number]}"
            if kind == "conv":
                yield kernel(f"{layer.name}/kernel", f"res{place}/0")
            else:
                yield from batch_norm(layer.name, f"bn{place}", f"scale{place}")
        for branch in range(4):
            yield from convolution(f"aspp/fc8_{branch + 1}", f"fc1_voc12_c{branch}", variables(model))


SOURCES = (DeepLabOne(), DeepLabOnePool3(), DeepLabTwoVGG(), DeepLabTwoResNet())
