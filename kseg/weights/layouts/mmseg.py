"""Key maps of mmsegmentation: FCN, PSPNet, DeepLabV3 and DeepLabV3+ on ResNet-V1c."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.models import DeepLabV3, DeepLabV3Plus, DilatedFCN, PSPNet
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import resnet, resnet_modules
from kseg.weights.source import Arrays, Source, classes_of, is_counter
from kseg.weights.transfer import Move

_BINS = (1, 2, 3, 6)
_CORNERS = "-corners"


class MMSegmentation(Source):
    """What its networks share.

    Those trained on 769x769 resize with aligned corners, all others with the half-pixel rule. No file says so: the
    former are sources of their own, by the names of their files.

    Args:
        corners: whether it is a network with aligned corners.
    """

    output_strides = (8, 16)
    licence = "Apache-2.0"
    page = "https://github.com/open-mmlab/mmsegmentation/tree/main/configs"
    marks = ("decode_head.conv_seg.weight", "backbone.layer1.0.conv1.weight")
    mark: str
    auxiliary = ("auxiliary_head.convs.0.conv", "auxiliary_head.convs.0.bn", "auxiliary_head.conv_seg")

    def __init__(self, corners: bool = False) -> None:
        self.corners = corners
        self.name = f"{type(self).name}{_CORNERS if corners else ''}"
        self.note = (
            "the first block of a dilated stage at the rate before, RGB with ImageNet's mean and standard deviation, "
            f"{'aligned corners' if corners else 'half-pixel resizing'}"
        )

    def recognises(self, arrays: Arrays) -> bool:
        return not self.corners and super().recognises(arrays) and f"decode_head.{self.mark}" in arrays

    def left_out(self, key: str) -> bool:
        return is_counter(key) or key.startswith("auxiliary_head.")

    def by_name(self, file: str) -> str | None:
        if "mg124" in file or "-d6_" in file or "-d16" in file:
            raise ModelError(f"{file}: a network with multi-grid or other rates, which kseg does not import yet")
        return f"{type(self).name}{_CORNERS}" if "769x769" in file else None

    def parts(self, arrays: Arrays, output_stride: int) -> tuple[keras.Model, int, dict[str, Any]]:
        """The backbone, the number of classes, and what all heads are built with."""
        settings = {"first_rate": "previous", "rate_in": "first"}
        backbone = resnet(arrays, "backbone.", output_stride, "mmseg", **settings)
        head = {"upsampling": "corners" if self.corners else "size", "momentum": 0.9, "epsilon": 1e-5, "dropout": 0.1}
        return backbone, classes_of(arrays, "decode_head.conv_seg.weight"), head

    def rates(self, output_stride: int) -> tuple[int, ...]:
        """Those of its ASPP."""
        return (12, 24, 36) if output_stride == 8 else (6, 12, 18)

    def filters(self, arrays: Arrays, unit: str) -> int:
        """The width of a unit of the head."""
        return classes_of(arrays, f"decode_head.{unit}.conv.weight")

    def units(self, pairs: dict[str, str]) -> dict[str, str]:
        """Convolution and normalisation of mmcv's ConvModules: "bottleneck" -> bottleneck.conv and bottleneck.bn."""
        modules = {}
        for layer, module in pairs.items():
            modules[f"{layer}_conv"] = f"decode_head.{module}.conv"
            modules[f"{layer}_bn"] = f"decode_head.{module}.bn"
        return modules

    def moves_of(self, model: keras.Model, arrays: Arrays, head: dict[str, str]) -> Iterable[Move]:
        """The moves of a network, whose head has these modules."""
        modules = resnet_modules(model, arrays, "backbone.") | head | {"score": "decode_head.conv_seg"}
        orders = {}
        if "projection_conv" in head:  # its input channels: mmseg has the image level first, kseg last
            channels = np.arange(arrays["decode_head.bottleneck.conv.weight"].shape[1])
            orders["projection_conv"] = np.roll(channels, -self.filters(arrays, "image_pool.1"))
        return torch_moves(model, modules, orders)


class Pyramid(MMSegmentation):
    """PSPNet."""

    name, mark = "mmseg/pspnet", "psp_modules.0.1.conv.weight"

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        backbone, classes, head = self.parts(arrays, output_stride)
        filters = self.filters(arrays, "bottleneck")
        return PSPNet(backbone, classes, bins=_BINS, filters=filters, align_corners=self.corners, **head)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        head = {"conv": "decode_head.bottleneck.conv", "bn": "decode_head.bottleneck.bn"}
        for number, bins in enumerate(_BINS):
            for part in ("conv", "bn"):
                head[f"pyramid/{part}_{bins}"] = f"decode_head.psp_modules.{number}.1.{part}"
        return self.moves_of(model, arrays, head)


class FCN(MMSegmentation):
    """FCN with two convolutions whose map is concatenated with their input."""

    name, mark = "mmseg/fcn", "conv_cat.conv.weight"

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        backbone, classes, head = self.parts(arrays, output_stride)
        settings = {"filters": self.filters(arrays, "convs.0"), "convolutions": 2, "concatenate": True}
        return DilatedFCN(backbone, classes, **settings, **head)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        units = self.units({"head1": "convs.0", "head2": "convs.1", "mix": "conv_cat"})
        return self.moves_of(model, arrays, units)


class DeepLab(MMSegmentation):
    """DeepLabV3."""

    name, mark = "mmseg/deeplabv3", "aspp_modules.1.conv.weight"

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        backbone, classes, head = self.parts(arrays, output_stride)
        settings = {"filters": self.filters(arrays, "bottleneck"), "projection": 3, "head": False}
        return DeepLabV3(backbone, classes, rates=self.rates(output_stride), **settings, **head)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        head = {"image_level": "image_pool.1", "aspp_1x1": "aspp_modules.0", "projection": "bottleneck"}
        head |= {f"aspp_{rate}": f"aspp_modules.{number}" for number, rate in enumerate(model.rates, start=1)}
        return self.moves_of(model, arrays, self.units(head))


class DeepLabPlus(MMSegmentation):
    """DeepLabV3+."""

    name, mark = "mmseg/deeplabv3plus", "aspp_modules.1.depthwise_conv.conv.weight"

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        backbone, classes, head = self.parts(arrays, output_stride)
        settings = {"filters": self.filters(arrays, "bottleneck"), "projection": 3}
        settings |= {"low_level_filters": self.filters(arrays, "c1_bottleneck"), "align_corners": self.corners}
        return DeepLabV3Plus(backbone, classes, rates=self.rates(output_stride), **settings, **head)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        units = {"image_level": "image_pool.1", "aspp_1x1": "aspp_modules.0", "projection": "bottleneck"}
        head = self.units({**units, "low_level": "c1_bottleneck"})
        pairs = {f"aspp_{rate}": f"aspp_modules.{number}" for number, rate in enumerate(model.rates, start=1)}
        pairs |= {"decoder1": "sep_bottleneck.0", "decoder2": "sep_bottleneck.1"}
        for layer, module in pairs.items():
            found = self.units({f"{layer}_dwconv": f"{module}.depthwise_conv", layer: f"{module}.pointwise_conv"})
            found[f"{layer}_dwconv"] = found.pop(f"{layer}_dwconv_conv")
            head |= found
        return self.moves_of(model, arrays, head)


SOURCES = tuple(kind(corners) for corners in (False, True) for kind in (Pyramid, FCN, DeepLab, DeepLabPlus))
