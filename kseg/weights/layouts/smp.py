"""Key maps of segmentation_models.pytorch: DeepLabV3, DeepLabV3+ and PSPNet on ResNet and MobileNetV2."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from kseg import checks
from kseg.backbones import Backbone
from kseg.errors import ModelError
from kseg.models import DeepLabV3, DeepLabV3Plus, PSPNet
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.mobilenet import mobilenet_v2, mobilenet_v2_modules
from kseg.weights.layouts.resnet import IMAGES, resnet, resnet_modules
from kseg.weights.layouts.torchvision import aspp_modules
from kseg.weights.source import ENDING, Arrays, Source, classes_of, shape_of
from kseg.weights.transfer import Move, some

_HEAD = {"momentum": 0.9, "epsilon": 1e-5, "upsampling": "corners"}
_RATES, _BINS = (12, 24, 36), (1, 2, 3, 6)
_SCORE = "segmentation_head.0.weight"
_MOBILENET = "encoder.features.0.0.weight"


class SegmentationModels(Source):
    """What its networks share."""

    note = "each dilated stage at its own rate, aligned corners, RGB; images whose sides divide by the output stride"
    licence = "MIT for the code; that of weights is their trainer's"
    page = "https://github.com/qubvel-org/segmentation_models.pytorch"
    spare = (  # of `aux_params`, and what stands behind the last stage of an encoder that ends early
        rf"classification_head\.3{ENDING}|encoder\.layer[34]\.\d+\.((conv|bn)[123]|downsample\.[012]){ENDING}"
    )
    network: str

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().usual(arrays, known), "aspp_rates": _RATES, **IMAGES}

    def of_config(self, config: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
        """By what `save_pretrained` writes."""
        if "encoder_name" not in config:
            return {}
        depth = self.encoder(arrays)[0]
        stem = _MOBILENET if _MOBILENET in arrays else "encoder.conv1.weight"
        channels = shape_of(arrays, stem, self.name)[1]
        shown = {"_model_class": self.network, "encoder_depth": depth, "in_channels": channels}
        shown |= {"classes": classes_of(arrays, _SCORE), "decoder_use_norm": "batchnorm"}
        if config.get("decoder_use_norm") is True:  # the same
            config = {**config, "decoder_use_norm": "batchnorm"}
        for name, value in shown.items():
            if config.get(name, value) != value:
                raise ModelError(
                    f"{self.name}: the config.json beside it says {name} {config[name]}, and the network that its keys "
                    f"show has {value}"
                )
        names = {
            "output_stride": "encoder_output_stride",
            "aspp_rates": "decoder_atrous_rates",
            "upsampling": "upsampling",
        }
        found = {ours: config[theirs] for ours, theirs in names.items() if config.get(theirs) is not None}
        ours = self.usual(arrays, found)
        natural = {"PSPNet": 2**depth, "DeepLabV3Plus": 4}.get(self.network)
        if natural is None:
            stride = checks.whole(found.get("output_stride", ours["output_stride"]), "encoder_output_stride")
            natural = min(stride, 2**depth)
        if found.get("upsampling", natural) != natural:
            raise ModelError(f"{self.name}: {_other_size(found['upsampling'], natural)}")
        return {
            name: tuple(one) if isinstance(one, list) else one for name, one in found.items() if name in ours
        }

    def encoder(self, arrays: Arrays) -> tuple[int, int]:
        """How deep the encoder is, 3 to 5 stages, and the channels of its last stage.

        Raises:
            ModelError: an encoder or a depth that kseg does not import.
        """
        inputs = self.inputs(arrays)
        if _MOBILENET in arrays:
            channels = {5: shape_of(arrays, "encoder.features.18.0.weight", self.name)[0]}
        elif "encoder.layer1.0.conv1.weight" in arrays:
            last = "conv3" if "encoder.layer2.0.conv3.weight" in arrays else "conv2"
            channels = {
                stage: shape_of(arrays, f"encoder.layer{stage - 1}.0.{last}.weight", self.name)[0]
                for stage in (3, 4, 5)
            }
        else:
            keys = some([key for key in arrays if key.startswith("encoder.")], 3)
            raise ModelError(
                f"{self.name}: an encoder that kseg does not import (keys {keys}); it imports ResNet-18 to 152 and "
                "mobilenet_v2"
            )
        depth = next((stage for stage, count in channels.items() if count == inputs), None)
        if depth is None:
            raise ModelError(
                f"{self.name}: a decoder on {inputs} channels, which no stage of its encoder from the "
                f"{'fifth' if _MOBILENET in arrays else 'third'} on has; kseg imports no encoder that ends earlier"
            )
        return depth, inputs

    def inputs(self, arrays: Arrays) -> int:
        """The channels that the decoder gets."""
        raise NotImplementedError

    def backbone(self, arrays: Arrays, settings: Mapping[str, Any]) -> Backbone:
        """The encoder up to its last stage."""
        depth, _ = self.encoder(arrays)
        form = {name: settings[name] for name in IMAGES}
        stride = min(settings.get("output_stride", 32), 2**depth)
        if _MOBILENET in arrays:
            return mobilenet_v2(arrays, "encoder.", stride, self.name, first_rate="stage", **form)
        return resnet(arrays, "encoder.", stride, self.name, last_stage=f"stage{depth}", **form)

    def modules(self, model: keras.Model, arrays: Arrays) -> dict[str, str]:
        """Layers of the encoder and of the scores -> modules."""
        own = mobilenet_v2_modules if _MOBILENET in arrays else resnet_modules
        return own(model, arrays, "encoder.") | {"score": "segmentation_head.0"}


def _other_size(upsampling: Any, natural: int) -> str:
    return (
        f"built with upsampling={upsampling}, its output has {upsampling}/{natural} of the image's height and width, "
        f"which kseg does not build: with upsampling={natural} it would have the image's size"
    )


class DeepLab(SegmentationModels):
    """DeepLabV3."""

    name, network = "smp/deeplabv3", "DeepLabV3"
    output_strides = (8, 16)
    marks = (_SCORE, "decoder.conv.weight", "decoder.aspp.project.0.weight")
    older = (_SCORE, "decoder.1.weight", "decoder.0.project.0.weight")  # before smp 0.4

    def recognises(self, arrays: Arrays) -> bool:
        return super().recognises(arrays) or all(mark in arrays for mark in self.older)

    def parts(self, arrays: Arrays) -> tuple[str, str, str]:
        """The modules of the ASPP, of the convolution behind it and of its normalisation."""
        older = self.older[1] in arrays
        return (
            ("decoder.0.", "decoder.1", "decoder.2")
            if older
            else ("decoder.aspp.", "decoder.conv", "decoder.bn")
        )

    def inputs(self, arrays: Arrays) -> int:
        return shape_of(arrays, f"{self.parts(arrays)[0]}convs.0.0.weight", self.name)[1]

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        aspp, conv, _ = self.parts(arrays)
        if f"{aspp}convs.1.0.0.weight" in arrays:
            raise ModelError(
                f"{self.name}: its ASPP is separable (decoder_aspp_separable), which kseg does not build"
            )
        backbone, filters = self.backbone(arrays, settings), classes_of(arrays, f"{conv}.weight")
        return DeepLabV3(
            backbone, classes_of(arrays, _SCORE), rates=settings["aspp_rates"], filters=filters, **_HEAD
        )

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        aspp, conv, bn = self.parts(arrays)
        modules = self.modules(model, arrays) | aspp_modules(aspp, model.rates)
        modules |= {"head_conv": conv, "head_bn": bn}
        return torch_moves(model, modules)


class DeepLabPlus(SegmentationModels):
    """DeepLabV3Plus."""

    name, network = "smp/deeplabv3plus", "DeepLabV3Plus"
    output_strides = (16, 8)
    marks = (_SCORE, "decoder.block2.0.0.weight", "decoder.aspp.0.project.0.weight")

    def inputs(self, arrays: Arrays) -> int:
        return shape_of(arrays, "decoder.aspp.0.convs.0.0.weight", self.name)[1]

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        if "decoder.aspp.0.convs.1.0.0.weight" not in arrays:
            raise ModelError(
                f"{self.name}: its ASPP is not separable (decoder_aspp_separable), which kseg does not import"
            )
        form = {
            "rates": settings["aspp_rates"],
            "filters": classes_of(arrays, "decoder.aspp.0.project.0.weight"),
            "normalize_depthwise": False,
            "mix": True,
            "low_level_filters": classes_of(arrays, "decoder.block1.0.weight"),
            "decoder_convolutions": 1,
            "dropout": 0.5,
            "align_corners": True,
        }
        return DeepLabV3Plus(self.backbone(arrays, settings), classes_of(arrays, _SCORE), **form, **_HEAD)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = self.modules(model, arrays) | aspp_modules("decoder.aspp.0.", model.rates)
        for number, rate in enumerate(model.rates, start=1):
            # module 0 holds the depthwise (.0) and the pointwise (.1) convolution
            layer, module = f"aspp_{rate}", f"decoder.aspp.0.convs.{number}"
            modules |= {f"{layer}_dwconv": f"{module}.0.0", f"{layer}_conv": f"{module}.0.1"}
            modules[f"{layer}_bn"] = f"{module}.1"
        modules |= {
            "mix_dwconv": "decoder.aspp.1.0",
            "mix_conv": "decoder.aspp.1.1",
            "mix_bn": "decoder.aspp.2",
        }
        modules |= {"low_level_conv": "decoder.block1.0", "low_level_bn": "decoder.block1.1"}
        modules |= {"decoder1_dwconv": "decoder.block2.0.0", "decoder1_conv": "decoder.block2.0.1"}
        modules["decoder1_bn"] = "decoder.block2.1"
        return torch_moves(model, modules)


class Pyramid(SegmentationModels):
    """PSPNet, on whichever stage its encoder ends with: the other stages are in the file, and unused."""

    name, network = "smp/pspnet", "PSPNet"
    marks = (_SCORE, "decoder.psp.blocks.0.pool.1.0.weight")

    def inputs(self, arrays: Arrays) -> int:
        level = classes_of(arrays, "decoder.psp.blocks.1.pool.1.0.weight")
        return shape_of(arrays, "decoder.conv.0.weight", self.name)[1] - len(_BINS) * level

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        """smp upsamples by 8 unless told otherwise, whatever the depth."""
        depth, _ = self.encoder(arrays)
        given = known.get("upsampling")
        given = None if given is None else checks.whole(given, "upsampling")
        if given is None and depth != 3:
            raise ModelError(
                f"{self.name}: encoder_depth {depth}, and no key shows `upsampling`: with smp's own 8 the output has "
                f"8/{2**depth} of the image's height and width, which kseg does not build; if it was built with "
                f"upsampling={2**depth}, say so (settings={{'upsampling': {2**depth}}}, --set upsampling={2**depth})"
            )
        if given not in (None, 2**depth):
            raise ModelError(f"{self.name}: {_other_size(given, 2**depth)}")
        return {"upsampling": 2**depth, **IMAGES}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        if _MOBILENET in arrays:
            raise ModelError(f"{self.name}: PSPNet on mobilenet_v2, which kseg does not import")
        classes, head = classes_of(arrays, _SCORE), classes_of(arrays, "decoder.conv.0.weight")
        level = classes_of(arrays, "decoder.psp.blocks.1.pool.1.0.weight")
        own = {"filters": head, "level_filters": level, "kernel": 1, "score_kernel": 3, "dropout": 0.2}
        backbone = self.backbone(arrays, settings)
        return PSPNet(backbone, classes, bins=_BINS, normalize_global=False, **own, **_HEAD)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = self.modules(model, arrays)
        for number, bins in enumerate(_BINS):
            modules[f"pyramid/conv_{bins}"] = f"decoder.psp.blocks.{number}.pool.1.0"
            modules[f"pyramid/bn_{bins}"] = f"decoder.psp.blocks.{number}.pool.1.1"
        modules |= {"conv": "decoder.conv.0", "bn": "decoder.conv.1"}
        # kseg has the map first and the levels after it, smp the levels first
        channels = np.arange(arrays["decoder.conv.0.weight"].shape[1])
        return torch_moves(model, modules, {"conv": np.roll(channels, -len(_BINS) * model.level_filters)})


SOURCES = (DeepLab(), DeepLabPlus(), Pyramid())
