"""Key maps of torchvision: its segmentation networks, and its ResNet classifiers as backbones."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from kseg.errors import ModelError
from kseg.models import LRASPP, DeepLabV3, DilatedFCN
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.mobilenet import mobilenet, mobilenet_modules
from kseg.weights.layouts.resnet import resnet, resnet_modules
from kseg.weights.source import Arrays, Source, classes_of, is_counter
from kseg.weights.transfer import Move

_RATES = (12, 24, 36)
_HEAD = {"upsampling": "size", "momentum": 0.9, "epsilon": 1e-5}
_NOTE = "half-pixel resizing to the image's size, RGB with ImageNet's mean and standard deviation"
_AUXILIARY = ("aux_classifier.0", "aux_classifier.1", "aux_classifier.4")
_COMMON = {"licence": "BSD-3-Clause", "page": "https://docs.pytorch.org/vision/stable/models.html"}


def _left_out(key: str) -> bool:
    return is_counter(key) or key.startswith("aux_classifier.")


def _is_resnet(arrays: Arrays) -> bool:
    return "backbone.layer1.0.conv1.weight" in arrays and "decode_head.conv_seg.weight" not in arrays


def _fcn(arrays: Arrays, output_stride: int) -> keras.Model:
    backbone = resnet(arrays, "backbone.", output_stride, "torchvision/fcn", first_rate="previous")
    classes, filters = classes_of(arrays, "classifier.4.weight"), classes_of(arrays, "classifier.0.weight")
    return DilatedFCN(backbone, classes, filters=filters, dropout=0.1, **_HEAD)


def _fcn_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    modules = resnet_modules(model, arrays, "backbone.")
    modules |= {"head1_conv": "classifier.0", "head1_bn": "classifier.1", "score": "classifier.4"}
    return torch_moves(model, modules)


def aspp_modules(prefix: str, rates: Iterable[int] = _RATES) -> dict[str, str]:
    """kseg's layers of an ASPP -> torchvision's modules."""
    modules = {"aspp_1x1": "convs.0"}
    modules |= {f"aspp_{rate}": f"convs.{number}" for number, rate in enumerate(rates, start=1)}
    found = {"projection_conv": f"{prefix}project.0", "projection_bn": f"{prefix}project.1"}
    for layer, module in modules.items():
        found |= {f"{layer}_conv": f"{prefix}{module}.0", f"{layer}_bn": f"{prefix}{module}.1"}
    level = f"{prefix}convs.{len(modules)}"  # its module 0 is the pooling
    return {**found, "image_level_conv": f"{level}.1", "image_level_bn": f"{level}.2"}


def _deeplab(arrays: Arrays, output_stride: int) -> keras.Model:
    source = "torchvision/deeplabv3"
    if _is_resnet(arrays):
        backbone = resnet(arrays, "backbone.", output_stride, source, first_rate="previous")
    else:
        # The auxiliary head stands on the first map of stride 8.
        backbone = mobilenet(arrays, "backbone.", 16, source, "first")
    return DeepLabV3(backbone, classes_of(arrays, "classifier.4.weight"), rates=_RATES, **_HEAD)


def _deeplab_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    own = resnet_modules if _is_resnet(arrays) else mobilenet_modules
    modules = own(model, arrays, "backbone.") | aspp_modules("classifier.0.")
    modules |= {"head_conv": "classifier.1", "head_bn": "classifier.2", "score": "classifier.4"}
    return torch_moves(model, modules)


def _lraspp(arrays: Arrays, output_stride: int) -> keras.Model:
    # its low level is the first map of stride 8
    backbone = mobilenet(arrays, "backbone.", output_stride, "torchvision/lraspp", "first")
    classes = classes_of(arrays, "classifier.low_classifier.weight")
    return LRASPP(backbone, classes, filters=classes_of(arrays, "classifier.cbr.0.weight"), **_HEAD)


def _lraspp_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    modules = mobilenet_modules(model, arrays, "backbone.")
    modules |= {
        "features": "classifier.cbr.0",
        "features_bn": "classifier.cbr.1",
        "scale": "classifier.scale.1",
    }
    modules |= {"score": "classifier.high_classifier", "low_score": "classifier.low_classifier"}
    return torch_moves(model, modules)


def backbone(arrays: Arrays, output_stride: int) -> keras.Model:
    return resnet(arrays, "", output_stride, "torchvision/resnet")


def backbone_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    return torch_moves(model, resnet_modules(model, arrays, ""))


def refuse_by_name(file: str) -> None:
    """Refuse timm's networks that have a ResNet's keys and are others, as far as a file's name says so."""
    for part, what in _OTHERS.items():
        if part in file:
            raise ModelError(
                f"{file}: a network {what}, which kseg does not build; its keys are those of a plain ResNet"
            )


_OTHERS = {
    "resnetaa": "with average pooling in place of strides",
    "resnetblur": "with blurred strides",
    "ra4_e3600": "for images scaled to -1..1",
}
SOURCES = (
    Source(
        name="torchvision/fcn",
        recognises=lambda arrays: _is_resnet(arrays) and "classifier.0.weight" in arrays,
        build=_fcn,
        moves=_fcn_moves,
        auxiliary=_AUXILIARY,
        output_strides=(8,),
        left_out=_left_out,
        note=f"the first block of a dilated stage at the rate before; {_NOTE}",
        **_COMMON,
    ),
    Source(
        name="torchvision/deeplabv3",
        recognises=lambda arrays: "classifier.0.convs.0.0.weight" in arrays,
        build=_deeplab,
        moves=_deeplab_moves,
        auxiliary=_AUXILIARY,
        output_strides=(8, 16),
        left_out=_left_out,
        note=f"the first block of a dilated stage at the rate before, ASPP rates 12, 24, 36; {_NOTE}",
        **_COMMON,
    ),
    Source(
        name="torchvision/lraspp",
        recognises=lambda arrays: "classifier.low_classifier.weight" in arrays,
        build=_lraspp,
        moves=_lraspp_moves,
        output_strides=(16,),
        left_out=_left_out,
        note=_NOTE,
        **_COMMON,
    ),
    Source(
        name="torchvision/resnet",
        recognises=lambda arrays: "layer1.0.conv1.weight" in arrays and "conv1.weight" in arrays,
        build=backbone,
        moves=backbone_moves,
        output_strides=(32, 16, 8),
        left_out=lambda key: is_counter(key) or key.startswith("fc."),
        note="an ImageNet backbone, RGB with ImageNet's mean and standard deviation",
        by_name=refuse_by_name,
        **_COMMON,
    ),
)
