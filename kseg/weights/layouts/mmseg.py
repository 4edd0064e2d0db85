"""Key maps of mmsegmentation: FCN, PSPNet, DeepLabV3 and DeepLabV3+ on ResNet-V1c."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.models import DeepLabV3, DeepLabV3Plus, DilatedFCN, PSPNet
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.mmseg_config import settings_of
from kseg.weights.layouts.resnet import IMAGES, resnet, resnet_modules
from kseg.weights.layouts.torchvision import ResNetClassifier
from kseg.weights.source import ENDING, Arrays, Source, classes_of, count_of, row_of
from kseg.weights.transfer import Move

_CORNERS = "-corners"


class MMSegmentation(Source):
    """What its networks share.

    Those trained on 769x769 resize with aligned corners, all others with the half-pixel rule. No key says so: the
    former are sources of their own, by the names of their files.

    Args:
        corners: whether it is a network with aligned corners.
    """

    output_strides = (8, 16)
    note = "strides in the 3x3 convolutions, RGB"
    licence = "Apache-2.0"
    page = "https://github.com/open-mmlab/mmsegmentation/tree/main/configs"
    marks = ("decode_head.conv_seg.weight", "backbone.layer1.0.conv1.weight")
    mark: str
    auxiliary = ("auxiliary_head.convs.0.conv", "auxiliary_head.convs.0.bn", "auxiliary_head.conv_seg")
    spare = rf"auxiliary_head\.(\d\.)?(convs\.\d\.(conv|bn)|conv_cat\.(conv|bn)|conv_seg){ENDING}"
    pools = atrous = False  # whether the head has a pyramid, or an ASPP

    def __init__(self, corners: bool = False) -> None:
        self.corners = corners
        self.name = f"{type(self).name}{_CORNERS if corners else ''}"
        self.marks = (*type(self).marks, f"decode_head.{self.mark}")

    def recognises(self, arrays: Arrays) -> bool:
        return not self.corners and super().recognises(arrays)

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        own = {
            "align_corners": self.corners,
            "first_rate": "previous",
            **IMAGES,
            **super().usual(arrays, known),
        }
        if self.pools:
            own["pool_scales"] = row_of(
                "pool_scales", (1, 2, 3, 6), arrays, "decode_head.psp_modules.{}.", known
            )
        elif self.atrous:
            rates = (6, 12, 18) if known.get("output_stride") == 16 else (12, 24, 36)
            own["aspp_rates"] = row_of("aspp_rates", rates, arrays, "decode_head.aspp_modules.{}.", known, 1)
        return own

    def of_config(self, config: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
        return settings_of(config, self.name, self.atrous)

    def by_name(self, file: str) -> str | None:
        if "mg124" in file or "-d6_" in file or "-d16" in file:
            raise ModelError(
                f"{file}: a network with multi-grid or other rates, which kseg does not import yet"
            )
        return f"{type(self).name}{_CORNERS}" if "769x769" in file else None

    def parts(self, arrays: Arrays, settings: Mapping[str, Any]) -> tuple[keras.Model, int, dict[str, Any]]:
        """The backbone, the number of classes, and what all heads are built with."""
        form = {name: settings[name] for name in ("first_rate", *IMAGES)}
        backbone = resnet(arrays, "backbone.", settings["output_stride"], "mmseg", rate_in="first", **form)
        way = "corners" if settings["align_corners"] else "size"
        head = {"upsampling": way, "momentum": 0.9, "epsilon": 1e-5, "dropout": 0.1}
        return backbone, classes_of(arrays, "decode_head.conv_seg.weight"), head

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
    pools = True

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        backbone, classes, head = self.parts(arrays, settings)
        form = {"filters": self.filters(arrays, "bottleneck"), "align_corners": settings["align_corners"]}
        return PSPNet(backbone, classes, bins=settings["pool_scales"], **form, **head)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        head = {"conv": "decode_head.bottleneck.conv", "bn": "decode_head.bottleneck.bn"}
        for number, bins in enumerate(model.bins):
            for part in ("conv", "bn"):
                head[f"pyramid/{part}_{bins}"] = f"decode_head.psp_modules.{number}.1.{part}"
        return self.moves_of(model, arrays, head)


class FCN(MMSegmentation):
    """FCN with two convolutions, whose map is usually concatenated with their input."""

    name, mark = "mmseg/fcn", "convs.0.conv.weight"

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        backbone, classes, head = self.parts(arrays, settings)
        form = {
            "filters": self.filters(arrays, "convs.0"),
            "convolutions": count_of(arrays, "decode_head.convs.{}."),
        }
        form["concatenate"] = "decode_head.conv_cat.conv.weight" in arrays
        return DilatedFCN(backbone, classes, **form, **head)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        units = {f"head{number + 1}": f"convs.{number}" for number in range(model.convolutions)}
        return self.moves_of(model, arrays, self.units({**units, "mix": "conv_cat"}))


class DeepLab(MMSegmentation):
    """DeepLabV3."""

    name, mark = "mmseg/deeplabv3", "aspp_modules.1.conv.weight"
    atrous = True

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        backbone, classes, head = self.parts(arrays, settings)
        form = {"filters": self.filters(arrays, "bottleneck"), "projection": 3, "head": False}
        return DeepLabV3(backbone, classes, rates=settings["aspp_rates"], **form, **head)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        head = {"image_level": "image_pool.1", "aspp_1x1": "aspp_modules.0", "projection": "bottleneck"}
        head |= {f"aspp_{rate}": f"aspp_modules.{number}" for number, rate in enumerate(model.rates, start=1)}
        return self.moves_of(model, arrays, self.units(head))


class DeepLabPlus(MMSegmentation):
    """DeepLabV3+."""

    name, mark = "mmseg/deeplabv3plus", "aspp_modules.1.depthwise_conv.conv.weight"
    atrous = True

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        backbone, classes, head = self.parts(arrays, settings)
        form = {"filters": self.filters(arrays, "bottleneck"), "projection": 3}
        form |= {
            "low_level_filters": self.filters(arrays, "c1_bottleneck"),
            "align_corners": settings["align_corners"],
        }
        return DeepLabV3Plus(backbone, classes, rates=settings["aspp_rates"], **form, **head)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        units = {"image_level": "image_pool.1", "aspp_1x1": "aspp_modules.0", "projection": "bottleneck"}
        head = self.units({**units, "low_level": "c1_bottleneck"})
        pairs = {f"aspp_{rate}": f"aspp_modules.{number}" for number, rate in enumerate(model.rates, start=1)}
        pairs |= {"decoder1": "sep_bottleneck.0", "decoder2": "sep_bottleneck.1"}
        for layer, module in pairs.items():
            found = self.units(
                {f"{layer}_dwconv": f"{module}.depthwise_conv", layer: f"{module}.pointwise_conv"}
            )
            found[f"{layer}_dwconv"] = found.pop(f"{layer}_dwconv_conv")
            head |= found
        return self.moves_of(model, arrays, head)


class Backbone(ResNetClassifier):
    """A ResNet-V1c as a backbone, such as OpenMMLab's own ImageNet files (resnet50_v1c)."""

    name = "mmseg/resnet"
    licence, page = MMSegmentation.licence, MMSegmentation.page
    marks = ("layer1.0.conv1.weight", "stem.0.weight")


SOURCES = (
    Backbone(),
    *(kind(corners) for corners in (False, True) for kind in (Pyramid, FCN, DeepLab, DeepLabPlus)),
)
