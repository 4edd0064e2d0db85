"""Key maps of segmentation_models.pytorch: DeepLabV3 and DeepLabV3+ on its ResNet encoders."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from kseg.models import DeepLabV3, DeepLabV3Plus
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import resnet, resnet_modules
from kseg.weights.layouts.torchvision import aspp_modules
from kseg.weights.source import Arrays, Source, classes_of, is_counter
from kseg.weights.transfer import Move

_HEAD = {"momentum": 0.9, "epsilon": 1e-5, "upsampling": "corners"}
_RATES = (12, 24, 36)
_SCORE = "segmentation_head.0.weight"
_NOTE = "each dilated stage at its own rate, aligned corners, RGB with ImageNet's mean and standard deviation"


def _deeplab(arrays: Arrays, output_stride: int) -> keras.Model:
    backbone = resnet(arrays, "encoder.", output_stride, "smp/deeplabv3")
    filters = classes_of(arrays, "decoder.conv.weight")
    return DeepLabV3(backbone, classes_of(arrays, _SCORE), rates=_RATES, filters=filters, **_HEAD)


def _deeplab_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    modules = resnet_modules(model, arrays, "encoder.") | aspp_modules("decoder.aspp.", model.rates)
    modules |= {"head_conv": "decoder.conv", "head_bn": "decoder.bn", "score": "segmentation_head.0"}
    return torch_moves(model, modules)


def _deeplab_plus(arrays: Arrays, output_stride: int) -> keras.Model:
    backbone = resnet(arrays, "encoder.", output_stride, "smp/deeplabv3plus")
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
    return DeepLabV3Plus(backbone, classes_of(arrays, _SCORE), **settings, **_HEAD)


def _deeplab_plus_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    modules = resnet_modules(model, arrays, "encoder.") | aspp_modules("decoder.aspp.0.", model.rates)
    separables = {f"aspp_{rate}": f"decoder.aspp.0.convs.{n}" for n, rate in enumerate(model.rates, start=1)}
    for layer, module in separables.items():  # .0 holds the depthwise (.0) and the pointwise (.1) convolution
        modules |= {
            f"{layer}_dwconv": f"{module}.0.0",
            f"{layer}_conv": f"{module}.0.1",
            f"{layer}_bn": f"{module}.1",
        }
    modules |= {"mix_dwconv": "decoder.aspp.1.0", "mix_conv": "decoder.aspp.1.1", "mix_bn": "decoder.aspp.2"}
    modules |= {"low_level_conv": "decoder.block1.0", "low_level_bn": "decoder.block1.1"}
    modules |= {"decoder1_dwconv": "decoder.block2.0.0", "decoder1_conv": "decoder.block2.0.1"}
    modules |= {"decoder1_bn": "decoder.block2.1", "score": "segmentation_head.0"}
    return torch_moves(model, modules)


def _source(name, mark, build, moves, output_strides) -> Source:
    keys = {"encoder.layer1.0.conv1.weight", "segmentation_head.0.weight", mark}
    return Source(
        name=f"smp/{name}",
        recognises=lambda arrays: keys <= arrays.keys(),
        build=build,
        moves=moves,
        output_strides=output_strides,
        left_out=is_counter,
        note=f"{_NOTE}; images whose sides divide by the output stride",
        licence="MIT for the code; that of weights is their trainer's",
        page="https://github.com/qubvel-org/segmentation_models.pytorch",
    )


SOURCES = (
    _source("deeplabv3", "decoder.conv.weight", _deeplab, _deeplab_moves, (8, 16)),
    _source("deeplabv3plus", "decoder.block2.0.0.weight", _deeplab_plus, _deeplab_plus_moves, (16, 8)),
)
