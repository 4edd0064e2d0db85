"""Key maps of segmentation_models.pytorch: DeepLabV3, DeepLabV3+ and PSPNet on its ResNet encoders."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.models import DeepLabV3, DeepLabV3Plus, PSPNet
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import resnet, resnet_modules
from kseg.weights.layouts.torchvision import aspp_modules
from kseg.weights.source import Arrays, Source, classes_of, is_counter, shape_of
from kseg.weights.transfer import Move

_HEAD = {"momentum": 0.9, "epsilon": 1e-5, "upsampling": "corners"}
_RATES, _BINS = (12, 24, 36), (1, 2, 3, 6)
_SCORE = "segmentation_head.0.weight"
_MARKS = ("encoder.layer1.0.conv1.weight", _SCORE)


class SegmentationModels(Source):
    """What its networks share."""

    note = (
        "each dilated stage at its own rate, aligned corners, RGB with ImageNet's mean and standard deviation; images "
        "whose sides divide by the output stride"
    )
    licence = "MIT for the code; that of weights is their trainer's"
    page = "https://github.com/qubvel-org/segmentation_models.pytorch"

    def left_out(self, key: str) -> bool:
        return is_counter(key) or key.startswith("classification_head.")  # of `aux_params`


class DeepLab(SegmentationModels):
    """DeepLabV3."""

    name = "smp/deeplabv3"
    output_strides = (8, 16)
    marks = (*_MARKS, "decoder.conv.weight")

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        backbone = resnet(arrays, "encoder.", output_stride, self.name)
        filters = classes_of(arrays, "decoder.conv.weight")
        return DeepLabV3(backbone, classes_of(arrays, _SCORE), rates=_RATES, filters=filters, **_HEAD)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = resnet_modules(model, arrays, "encoder.") | aspp_modules("decoder.aspp.", model.rates)
        modules |= {"head_conv": "decoder.conv", "head_bn": "decoder.bn", "score": "segmentation_head.0"}
        return torch_moves(model, modules)


class DeepLabPlus(SegmentationModels):
    """DeepLabV3Plus."""

    name = "smp/deeplabv3plus"
    output_strides = (16, 8)
    marks = (*_MARKS, "decoder.block2.0.0.weight")

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        settings = {
            "rates": _RATES,
            "filters": classes_of(arrays, "decoder.aspp.0.project.0.weight"),
            "normalize_depthwise": False,
            "mix": True,
            "low_level_filters": classes_of(arrays, "decoder.block1.0.weight"),
            "decoder_convolutions": 1,
            "dropout": 0.5,
            "align_corners": True,
        }
        backbone = resnet(arrays, "encoder.", output_stride, self.name)
        return DeepLabV3Plus(backbone, classes_of(arrays, _SCORE), **settings, **_HEAD)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = resnet_modules(model, arrays, "encoder.") | aspp_modules("decoder.aspp.0.", model.rates)
        for number, rate in enumerate(model.rates, start=1):
            # module 0 holds the depthwise (.0) and the pointwise (.1) convolution
            layer, module = f"aspp_{rate}", f"decoder.aspp.0.convs.{number}"
            modules |= {f"{layer}_dwconv": f"{module}.0.0", f"{layer}_conv": f"{module}.0.1"}
            modules[f"{layer}_bn"] = f"{module}.1"
        modules |= {"mix_dwconv": "decoder.aspp.1.0", "mix_conv": "decoder.aspp.1.1", "mix_bn": "decoder.aspp.2"}
        modules |= {"low_level_conv": "decoder.block1.0", "low_level_bn": "decoder.block1.1"}
        modules |= {"decoder1_dwconv": "decoder.block2.0.0", "decoder1_conv": "decoder.block2.0.1"}
        modules |= {"decoder1_bn": "decoder.block2.1", "score": "segmentation_head.0"}
        return torch_moves(model, modules)


class Pyramid(SegmentationModels):
    """PSPNet, on whichever stage its encoder ends with: the other stages are in the file, and unused."""

    name = "smp/pspnet"
    output_strides = (8,)
    marks = (*_MARKS, "decoder.psp.blocks.0.pool.1.0.weight")

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        level = classes_of(arrays, "decoder.psp.blocks.1.pool.1.0.weight")
        inputs = shape_of(arrays, "decoder.conv.0.weight", self.name)[1] - len(_BINS) * level
        last = "conv3" if "encoder.layer2.0.conv3.weight" in arrays else "conv2"
        channels = {
            stage: shape_of(arrays, f"encoder.layer{stage - 1}.0.{last}.weight", self.name)[0] for stage in (3, 4, 5)
        }
        depth = next((stage for stage, count in channels.items() if count == inputs), None)
        if depth is None:
            raise ModelError(f"{self.name}: a pyramid on {inputs} channels, which no stage of its encoder has")
        ends = {"output_stride": 2**depth, "last_stage": f"stage{depth}"}
        backbone = resnet(arrays, "encoder.", what=self.name, **ends)
        classes, head = classes_of(arrays, _SCORE), classes_of(arrays, "decoder.conv.0.weight")
        own = {"filters": head, "level_filters": level, "kernel": 1, "score_kernel": 3, "dropout": 0.2}
        return PSPNet(backbone, classes, bins=_BINS, normalize_global=False, **own, **_HEAD)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = resnet_modules(model, arrays, "encoder.")
        for number, bins in enumerate(_BINS):
            modules[f"pyramid/conv_{bins}"] = f"decoder.psp.blocks.{number}.pool.1.0"
            modules[f"pyramid/bn_{bins}"] = f"decoder.psp.blocks.{number}.pool.1.1"
        modules |= {"conv": "decoder.conv.0", "bn": "decoder.conv.1", "score": "segmentation_head.0"}
        # kseg has the map first and the levels after it, smp the levels first
        channels = np.arange(arrays["decoder.conv.0.weight"].shape[1])
        return torch_moves(model, modules, {"conv": np.roll(channels, -len(_BINS) * model.level_filters)})

    def left_out(self, key: str) -> bool:
        return super().left_out(key) or key.startswith(("encoder.layer3.", "encoder.layer4."))


SOURCES = (DeepLab(), DeepLabPlus(), Pyramid())
