"""Key maps of mmsegmentation: FCN, PSPNet, DeepLabV3 and DeepLabV3+ on ResNet-V1c."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
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
_NOTE = (
    "the first block of a dilated stage at the rate before, RGB with ImageNet's mean and standard deviation"
)
# The networks trained on 769x769 resize with aligned corners, all others with the half-pixel rule. No file says so.
_CORNERS = "-corners"


def _start(arrays: Arrays, output_stride: int) -> tuple[keras.Model, int]:
    """The backbone, and the number of classes."""
    backbone = resnet(arrays, "backbone.", output_stride, "mmseg", first_rate="previous", rate_in="first")
    return backbone, classes_of(arrays, "decode_head.conv_seg.weight")


def _head(corners: bool) -> dict[str, Any]:
    upsampling = "corners" if corners else "size"
    return {"upsampling": upsampling, "momentum": 0.9, "epsilon": 1e-5, "dropout": 0.1}


def _width(arrays: Arrays, module: str) -> int:
    return classes_of(arrays, f"decode_head.{module}.conv.weight")


def _rates(output_stride: int) -> tuple[int, ...]:
    return (12, 24, 36) if output_stride == 8 else (6, 12, 18)


def _units(pairs: dict[str, str]) -> dict[str, str]:
    """Convolution and normalisation of mmcv's ConvModules: "bottleneck" -> bottleneck.conv and bottleneck.bn."""
    modules = {}
    for layer, module in pairs.items():
        modules[f"{layer}_conv"] = f"decode_head.{module}.conv"
        modules[f"{layer}_bn"] = f"decode_head.{module}.bn"
    return modules


def _moves(
    model: keras.Model, arrays: Arrays, head: dict[str, str], orders: dict[str, np.ndarray] | None = None
):
    modules = resnet_modules(model, arrays, "backbone.") | head | {"score": "decode_head.conv_seg"}
    return torch_moves(model, modules, orders)


def _pspnet(arrays: Arrays, output_stride: int, corners: bool = False) -> keras.Model:
    backbone, classes = _start(arrays, output_stride)
    filters = _width(arrays, "bottleneck")
    return PSPNet(backbone, classes, bins=_BINS, filters=filters, align_corners=corners, **_head(corners))


def _pspnet_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    head = {"conv": "decode_head.bottleneck.conv", "bn": "decode_head.bottleneck.bn"}
    for number, bins in enumerate(_BINS):
        for part in ("conv", "bn"):
            head[f"pyramid/{part}_{bins}"] = f"decode_head.psp_modules.{number}.1.{part}"
    return _moves(model, arrays, head)


def _fcn(arrays: Arrays, output_stride: int, corners: bool = False) -> keras.Model:
    backbone, classes = _start(arrays, output_stride)
    settings = {"filters": _width(arrays, "convs.0"), "convolutions": 2, "concatenate": True}
    return DilatedFCN(backbone, classes, **settings, **_head(corners))


def _fcn_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    return _moves(model, arrays, _units({"head1": "convs.0", "head2": "convs.1", "mix": "conv_cat"}))


def _deeplab(arrays: Arrays, output_stride: int, corners: bool = False) -> keras.Model:
    backbone, classes = _start(arrays, output_stride)
    settings = {"filters": _width(arrays, "bottleneck"), "projection": 3, "head": False}
    return DeepLabV3(backbone, classes, rates=_rates(output_stride), **settings, **_head(corners))


def _rotated(arrays: Arrays) -> dict[str, np.ndarray]:
    """The projection's input channels: mmseg has the image level first, kseg last."""
    channels = np.arange(arrays["decode_head.bottleneck.conv.weight"].shape[1])
    return {"projection_conv": np.roll(channels, -_width(arrays, "image_pool.1"))}


def _deeplab_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    head = {"image_level": "image_pool.1", "aspp_1x1": "aspp_modules.0", "projection": "bottleneck"}
    head |= {f"aspp_{rate}": f"aspp_modules.{number}" for number, rate in enumerate(model.rates, start=1)}
    return _moves(model, arrays, _units(head), _rotated(arrays))


def _deeplab_plus(arrays: Arrays, output_stride: int, corners: bool = False) -> keras.Model:
    backbone, classes = _start(arrays, output_stride)
    settings = {"filters": _width(arrays, "bottleneck"), "projection": 3}
    settings |= {"low_level_filters": _width(arrays, "c1_bottleneck"), "align_corners": corners}
    return DeepLabV3Plus(backbone, classes, rates=_rates(output_stride), **settings, **_head(corners))


def _deeplab_plus_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    units = {"image_level": "image_pool.1", "aspp_1x1": "aspp_modules.0", "projection": "bottleneck"}
    head = _units({**units, "low_level": "c1_bottleneck"})
    pairs = {f"aspp_{rate}": f"aspp_modules.{number}" for number, rate in enumerate(model.rates, start=1)}
    pairs |= {"decoder1": "sep_bottleneck.0", "decoder2": "sep_bottleneck.1"}
    for layer, module in pairs.items():
        parts = {f"{layer}_dwconv": f"{module}.depthwise_conv", layer: f"{module}.pointwise_conv"}
        found = _units(parts)
        found[f"{layer}_dwconv"] = found.pop(f"{layer}_dwconv_conv")
        head |= found
    return _moves(model, arrays, head, _rotated(arrays))


def _source(name: str, mark: str, build: Callable, moves: Callable, corners: bool = False) -> Source:
    keys = {"decode_head.conv_seg.weight", "backbone.layer1.0.conv1.weight", f"decode_head.{mark}"}
    return Source(
        name=f"mmseg/{name}{_CORNERS if corners else ''}",
        # with aligned corners only where asked for: the keys are the same
        recognises=lambda arrays: not corners and keys <= arrays.keys(),
        build=partial(build, corners=corners),
        moves=moves,
        auxiliary=("auxiliary_head.convs.0.conv", "auxiliary_head.convs.0.bn", "auxiliary_head.conv_seg"),
        output_strides=(8, 16),
        left_out=lambda key: is_counter(key) or key.startswith("auxiliary_head."),
        note=f"{_NOTE}, {'aligned corners' if corners else 'half-pixel resizing'}",
        by_name=_by_name(name),
        licence="Apache-2.0",
        page="https://github.com/open-mmlab/mmsegmentation/tree/main/configs",
    )


def _by_name(name: str) -> Callable[[str], str | None]:
    """What the published names of files say and the keys do not: networks of 769x769 are another source."""

    def other(file: str) -> str | None:
        if "mg124" in file or "-d6_" in file or "-d16" in file:
            raise ModelError(
                f"{file}: a network with multi-grid or other rates, which kseg does not import yet"
            )
        return f"mmseg/{name}{_CORNERS}" if "769x769" in file else None

    return other


_NETWORKS = (
    ("pspnet", "psp_modules.0.1.conv.weight", _pspnet, _pspnet_moves),
    ("fcn", "conv_cat.conv.weight", _fcn, _fcn_moves),
    ("deeplabv3", "aspp_modules.1.conv.weight", _deeplab, _deeplab_moves),
    ("deeplabv3plus", "aspp_modules.1.depthwise_conv.conv.weight", _deeplab_plus, _deeplab_plus_moves),
)
SOURCES = tuple(_source(*network, corners=corners) for corners in (False, True) for network in _NETWORKS)
