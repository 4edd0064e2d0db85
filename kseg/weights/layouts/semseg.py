"""Key map of semseg (PSPNet in PyTorch, by the paper's first author)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from kseg.models import PSPNet
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import IMAGES, resnet, resnet_modules
from kseg.weights.source import ENDING, Arrays, Source, classes_of, row_of
from kseg.weights.transfer import Move


class Semseg(Source):
    """PSPNet-50 and 101."""

    name = "semseg/pspnet"
    output_strides = (8,)
    note = "strides in the 3x3 convolutions, each stage at its own rate, aligned corners, RGB"
    licence = "MIT"
    page = "https://github.com/hszhao/semseg"
    marks = ("ppm.features.0.1.weight", "layer0.6.weight")
    auxiliary = ("aux.0", "aux.1", "aux.4")
    spare = rf"aux\.[014]{ENDING}"

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        scales = row_of("pool_scales", (1, 2, 3, 6), arrays, "ppm.features.{}.", known)
        return {**super().usual(arrays, known), "pool_scales": scales, **IMAGES}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        images = {name: settings[name] for name in IMAGES}
        backbone = resnet(arrays, "", settings["output_stride"], self.name, **images)
        filters = classes_of(arrays, "cls.0.weight")
        bins, classes = settings["pool_scales"], classes_of(arrays, "cls.4.weight")
        return PSPNet(backbone, classes, bins=bins, filters=filters, momentum=0.9)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = resnet_modules(model, arrays, "")
        for number, bins in enumerate(model.bins):
            modules[f"pyramid/conv_{bins}"] = f"ppm.features.{number}.1"
            modules[f"pyramid/bn_{bins}"] = f"ppm.features.{number}.2"
        modules |= {"conv": "cls.0", "bn": "cls.1", "score": "cls.4"}
        return torch_moves(model, modules)


SOURCES = (Semseg(),)
