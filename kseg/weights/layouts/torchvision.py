"""Key maps of torchvision: its segmentation networks, and its ResNet classifiers as backbones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kseg.backbones import VGG16, VGG16BatchNorm
from kseg.errors import ModelError
from kseg.models import LRASPP, DeepLabV3, DilatedFCN
from kseg.weights.axes import CONVOLUTION, kept, torch_moves, turned
from kseg.weights.layouts.caffe import kernel as dense_kernel
from kseg.weights.layouts.mobilenet import (
    V2_BLOCKS,
    mobilenet,
    mobilenet_modules,
    mobilenet_v2,
    mobilenet_v2_modules,
)
from kseg.weights.layouts.resnet import IMAGES, resnet, resnet_modules
from kseg.weights.source import ENDING, Arrays, Source, classes_of, row_of
from kseg.weights.transfer import Move

_RATES = (12, 24, 36)
_HEAD = {"upsampling": "size", "momentum": 0.9, "epsilon": 1e-5}
_NOTE = "half-pixel resizing to the image's size, RGB"
_RESNET = "backbone.layer1.0.conv1.weight"
# timm's networks that have a plain ResNet's keys, by a part of their files' names.
_OTHERS = {
    "resnetaa": "with average pooling in place of strides",
    "resnetblur": "with blurred strides",
    "ra4_e3600": "for images scaled to -1..1",
}


def aspp_modules(prefix: str, rates: Iterable[int] = _RATES) -> dict[str, str]:
    """kseg's layers of an ASPP -> torchvision's modules."""
    modules = {"aspp_1x1": "convs.0"}
    modules |= {f"aspp_{rate}": f"convs.{number}" for number, rate in enumerate(rates, start=1)}
    found = {"projection_conv": f"{prefix}project.0", "projection_bn": f"{prefix}project.1"}
    for layer, module in modules.items():
        found |= {f"{layer}_conv": f"{prefix}{module}.0", f"{layer}_bn": f"{prefix}{module}.1"}
    level = f"{prefix}convs.{len(modules)}"  # its module 0 is the pooling
    return {**found, "image_level_conv": f"{level}.1", "image_level_bn": f"{level}.2"}


class Torchvision(Source):
    """What its networks share."""

    licence = "BSD-3-Clause"
    page = "https://docs.pytorch.org/vision/stable/models.html"

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().usual(arrays, known), **IMAGES}


class FCN(Torchvision):
    """fcn_resnet50 and 101."""

    name = "torchvision/fcn"
    output_strides = (8,)
    note = f"the first block of a dilated stage at the rate before; {_NOTE}"
    auxiliary = ("aux_classifier.0", "aux_classifier.1", "aux_classifier.4")
    spare = rf"aux_classifier\.[014]{ENDING}"
    marks = (_RESNET, "classifier.0.weight")

    def recognises(self, arrays: Arrays) -> bool:
        return super().recognises(arrays) and "decode_head.conv_seg.weight" not in arrays

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        backbone = resnet(arrays, "backbone.", what=self.name, first_rate="previous", **settings)
        classes, filters = (
            classes_of(arrays, "classifier.4.weight"),
            classes_of(arrays, "classifier.0.weight"),
        )
        return DilatedFCN(backbone, classes, filters=filters, dropout=0.1, **_HEAD)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = resnet_modules(model, arrays, "backbone.")
        modules |= {"head1_conv": "classifier.0", "head1_bn": "classifier.1", "score": "classifier.4"}
        return torch_moves(model, modules)


class DeepLab(Torchvision):
    """deeplabv3 on ResNet-50, 101 and MobileNetV3-Large."""

    name = "torchvision/deeplabv3"
    output_strides = (8, 16)
    note = f"the first block of a dilated stage at the rate before; {_NOTE}"
    auxiliary, spare = FCN.auxiliary, FCN.spare
    marks = ("classifier.0.convs.0.0.weight",)

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        stride = 8 if _RESNET in arrays else 16
        rates = row_of("aspp_rates", _RATES, arrays, "classifier.0.convs.{}.0.", known, 1)
        return {**super().usual(arrays, known), "output_stride": stride, "aspp_rates": rates}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        form = {name: settings[name] for name in ("output_stride", *IMAGES)}
        if _RESNET in arrays:
            backbone = resnet(arrays, "backbone.", what=self.name, first_rate="previous", **form)
        else:  # whose auxiliary head stands on the first map of stride 8
            backbone = mobilenet(arrays, "backbone.", what=self.name, stage_block="first", **form)
        classes = classes_of(arrays, "classifier.4.weight")
        return DeepLabV3(backbone, classes, rates=settings["aspp_rates"], **_HEAD)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        own = resnet_modules if _RESNET in arrays else mobilenet_modules
        modules = own(model, arrays, "backbone.") | aspp_modules("classifier.0.", model.rates)
        modules |= {"head_conv": "classifier.1", "head_bn": "classifier.2", "score": "classifier.4"}
        return torch_moves(model, modules)


class LiteRASPP(Torchvision):
    """lraspp_mobilenet_v3_large."""

    name = "torchvision/lraspp"
    output_strides = (16,)
    note = _NOTE
    marks = ("classifier.low_classifier.weight",)

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        # its low level is the first map of stride 8
        backbone = mobilenet(arrays, "backbone.", what=self.name, stage_block="first", **settings)
        classes = classes_of(arrays, "classifier.low_classifier.weight")
        return LRASPP(backbone, classes, filters=classes_of(arrays, "classifier.cbr.0.weight"), **_HEAD)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = mobilenet_modules(model, arrays, "backbone.")
        modules |= {"features": "classifier.cbr.0", "features_bn": "classifier.cbr.1"}
        modules |= {"scale": "classifier.scale.1"}
        modules |= {"score": "classifier.high_classifier", "low_score": "classifier.low_classifier"}
        return torch_moves(model, modules)


class ResNetClassifier(Torchvision):
    """An ImageNet classifier, whose scores are left out."""

    name = "torchvision/resnet"
    output_strides = (32, 16, 8)
    note = "an ImageNet backbone, RGB"
    marks = ("layer1.0.conv1.weight", "conv1.weight", "bn1.weight")
    spare = rf"fc{ENDING}"

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        # as `replace_stride_with_dilation` does
        return resnet(arrays, "", what=self.name, first_rate="previous", **settings)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        return torch_moves(model, resnet_modules(model, arrays, ""))

    def by_name(self, file: str) -> str | None:
        for part, what in _OTHERS.items():
            if part in file:
                raise ModelError(
                    f"{file}: a network {what}, which kseg does not build; its keys are those of a plain ResNet"
                )
        return None


class MobileNetV3Classifier(Torchvision):
    """An ImageNet classifier, whose scores are left out."""

    name = "torchvision/mobilenet_v3"
    output_strides = (32, 16, 8)
    note = "an ImageNet backbone, RGB"
    marks = ("features.0.0.weight", "features.1.block.0.0.weight")
    spare = rf"classifier\.[03]{ENDING}"

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        return mobilenet(arrays, "features.", what=self.name, **settings)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        return torch_moves(model, mobilenet_modules(model, arrays, "features."))


class MobileNetV2Classifier(Torchvision):
    """An ImageNet classifier, whose scores are left out."""

    name = "torchvision/mobilenet_v2"
    output_strides = (32, 16, 8)
    note = "an ImageNet backbone, RGB"
    marks = ("features.0.0.weight", "features.1.conv.0.0.weight", f"features.{V2_BLOCKS + 1}.0.weight")
    spare = rf"classifier\.1{ENDING}"

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().usual(arrays, known), "first_rate": "previous", **IMAGES}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        return mobilenet_v2(arrays, "", what=self.name, **settings)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        return torch_moves(model, mobilenet_v2_modules(model, arrays, ""))


class VGGClassifier(Torchvision):
    """vgg16, whose dense layers but the last become fc6 and fc7, as in FCN.

    kseg's VGG16 subtracts a mean from blue, green, red: the standard deviations and the order of the colours go into
    the first kernel, which gives the same map.
    """

    name = "torchvision/vgg16"
    note = (
        "an ImageNet backbone, RGB over ImageNet's standard deviations; its poolings round odd sides up, torchvision's "
        "down: the same on sides that divide by 32"
    )
    marks = ("features.0.weight", "features.2.weight", "features.28.weight")
    deeper = "features.30.weight"  # VGG-19 has it
    convolutions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    spare = rf"classifier\.6{ENDING}"

    def recognises(self, arrays: Arrays) -> bool:
        return super().recognises(arrays) and self.deeper not in arrays

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        return {"mean": IMAGES["mean"]}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        filters = classes_of(arrays, "classifier.0.weight") if "classifier.0.weight" in arrays else None
        return VGG16(filters=filters, mean=settings["mean"], name="vgg16")

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        std = np.array(IMAGES["std"][::-1], np.float32)[:, None]
        names = [layer.name for layer in model.layers if re.fullmatch(r"block\d_conv\d", layer.name)]
        for name, number in zip(names, self.convolutions, strict=True):
            kernel = turned(f"{name}/kernel", f"features.{number}.weight", CONVOLUTION)
            if name == names[0]:
                kernel = replace(
                    kernel, make=lambda given, _: given[0].transpose(CONVOLUTION)[:, :, ::-1] / std, back=None
                )
            yield kernel
            yield kept(f"{name}/bias", f"features.{number}.bias")
        for name, number in (("fc6", 0), ("fc7", 3)) if model.filters else ():
            yield dense_kernel(f"{name}/kernel", f"classifier.{number}.weight")
            yield kept(f"{name}/bias", f"classifier.{number}.bias")


class VGGBatchNormClassifier(VGGClassifier):
    """vgg16_bn without its dense layers."""

    name = "torchvision/vgg16_bn"
    marks = ("features.0.weight", "features.1.running_mean", "features.40.weight")
    deeper = "features.43.weight"
    convolutions = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)
    spare = rf"classifier\.[036]{ENDING}"

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        return VGG16BatchNorm(filters=None, mean=settings["mean"], name="vgg16_bn")

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        yield from super().moves(model, arrays)
        norms = [layer.name for layer in model.layers if re.fullmatch(r"bn\d_\d", layer.name)]
        modules = (f"features.{number + 1}" for number in self.convolutions)
        yield from torch_moves(model, dict(zip(norms, modules, strict=True)))


SOURCES = (
    VGGClassifier(),
    VGGBatchNormClassifier(),
    FCN(),
    DeepLab(),
    LiteRASPP(),
    ResNetClassifier(),
    MobileNetV3Classifier(),
    MobileNetV2Classifier(),
)
