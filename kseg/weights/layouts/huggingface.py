"""Key map of Hugging Face transformers' ResNets, as backbones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from kseg.errors import ModelError
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import IMAGES, resnet, resnet_modules
from kseg.weights.source import ENDING, Arrays, Source
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
    note = "an ImageNet backbone, RGB"
    spare = rf"classifier\.\d{ENDING}"
    licence = "Apache-2.0 for the code; that of weights is on their page"
    page = "https://huggingface.co/microsoft/resnet-50"

    def recognises(self, arrays: Arrays) -> bool:
        return _STEM in arrays or f"resnet.{_STEM}" in arrays

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().usual(arrays, known), "downsample_in_bottleneck": False, **IMAGES}

    def of_config(self, config: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
        if config.get("model_type") != "resnet":
            return {}
        if config.get("hidden_act", "relu") != "relu" or config.get("downsample_in_first_stage"):
            raise ModelError(
                f"{self.name}: its config.json says another activation than ReLU, or a stride in the first "
                "stage, which kseg does not build"
            )
        early = config.get("downsample_in_bottleneck")
        return {} if early is None else {"downsample_in_bottleneck": early}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        renamed = {name: arrays[key] for name, key in self.names(arrays).items()}
        form = {name: settings[name] for name in IMAGES}
        form["stride_in"] = "1x1" if settings["downsample_in_bottleneck"] else "3x3"
        return resnet(renamed, "", settings["output_stride"], self.name, **form)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        names = self.names(arrays)
        modules = resnet_modules(model, {name: arrays[key] for name, key in names.items()}, "")
        own = {module: names[f"{module}.weight"].removesuffix(".weight") for module in modules.values()}
        return torch_moves(model, {layer: own[module] for layer, module in modules.items()})

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
