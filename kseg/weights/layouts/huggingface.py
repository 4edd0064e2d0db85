"""Key map of Hugging Face transformers' ResNets, as backbones."""

from __future__ import annotations

import re
from collections.abc import Iterable

import keras

from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import resnet, resnet_modules
from kseg.weights.source import Arrays, Source, is_counter
from kseg.weights.transfer import Move

_STEM = "embedder.embedder.convolution.weight"
_INNER = re.compile(
    r"encoder\.stages\.(\d+)\.layers\.(\d+)\.(?:layer\.(\d+)|shortcut)\.(convolution|normalization)\.(.+)"
)
_OUTER = re.compile(r"embedder\.embedder\.(convolution|normalization)\.(.+)")


class ResNetOfTransformers(Source):
    """A ResNet with or without its classifier, which is left out."""

    name = "huggingface/resnet"
    output_strides = (32, 16, 8)
    note = (
        "an ImageNet backbone that strides in the 3x3 convolutions (downsample_in_bottleneck false), RGB with "
        "ImageNet's mean and standard deviation"
    )
    licence = "Apache-2.0 for the code; that of weights is on their page"
    page = "https://huggingface.co/microsoft/resnet-50"

    def recognises(self, arrays: Arrays) -> bool:
        return _STEM in arrays or f"resnet.{_STEM}" in arrays

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        renamed = {name: arrays[key] for name, key in self.names(arrays).items()}
        return resnet(renamed, "", output_stride, self.name)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        names = self.names(arrays)
        modules = resnet_modules(model, {name: arrays[key] for name, key in names.items()}, "")
        own = {module: names[f"{module}.weight"].removesuffix(".weight") for module in modules.values()}
        return torch_moves(model, {layer: own[module] for layer, module in modules.items()})

    def left_out(self, key: str) -> bool:
        return is_counter(key) or key.startswith("classifier.")

    def names(self, arrays: Arrays) -> dict[str, str]:
        """torchvision's key -> transformers' key."""
        found = {}
        for key in arrays:
            inner = key.removeprefix("resnet.")
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


SOURCES = (ResNetOfTransformers(),)
