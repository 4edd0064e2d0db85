"""Key map of Hugging Face transformers' ResNets, as backbones."""

from __future__ import annotations

import re
from collections.abc import Iterable

import keras

from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import resnet, resnet_modules
from kseg.weights.source import Arrays, Source, is_counter
from kseg.weights.transfer import Move

_PREFIXES = ("resnet.", "")  # with a head, and without
_STEM = "embedder.embedder.convolution.weight"
_INNER = re.compile(
    r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)|shortcut)\.(convolution|normalization)\.(.+)"
)
_OUTER = re.compile(r"embedder\.embedder\.(convolution|normalization)\.(.+)")


def _prefix(arrays: Arrays) -> str | None:
    return next((prefix for prefix in _PREFIXES if prefix + _STEM in arrays), None)


def _renamed(arrays: Arrays) -> dict[str, str]:
    """torchvision's key -> transformers' key."""
    prefix, found = _prefix(arrays) or "", {}
    for key in arrays:
        inner = key.removeprefix(prefix)
        if match := _OUTER.fullmatch(inner):
            kind, name = match.groups()
            found[f"{'conv1' if kind == 'convolution' else 'bn1'}.{name}"] = key
        elif match := _INNER.fullmatch(inner):
            stage, block, number, kind, name = match.groups()
            if number is None:
                module = f"downsample.{int(kind == 'normalization')}"
            else:
                module = f"{'conv' if kind == 'convolution' else 'bn'}{int(number) + 1}"
            found[f"layer{int(stage) + 1}.{block}.{module}.{name}"] = key
    return found


def _as_torchvision(arrays: Arrays) -> Arrays:
    return {name: arrays[key] for name, key in _renamed(arrays).items()}


def _build(arrays: Arrays, output_stride: int) -> keras.Model:
    return resnet(_as_torchvision(arrays), "", output_stride, "huggingface/resnet")


def _moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    names = _renamed(arrays)
    modules = resnet_modules(model, _as_torchvision(arrays), "")
    own = {module: names[f"{module}.weight"].removesuffix(".weight") for module in modules.values()}
    return torch_moves(model, {layer: own[module] for layer, module in modules.items()})


RESNET = Source(
    name="huggingface/resnet",
    recognises=lambda arrays: _prefix(arrays) is not None,
    build=_build,
    moves=_moves,
    output_strides=(32, 16, 8),
    left_out=lambda key: is_counter(key) or key.startswith("classifier."),
    note="an ImageNet backbone that strides in the 3x3 convolutions (downsample_in_bottleneck false), RGB with "
    "ImageNet's mean and standard deviation",
    licence="Apache-2.0 for the code; that of weights is on their page",
    page="https://huggingface.co/microsoft/resnet-50",
)
SOURCES = (RESNET,)
