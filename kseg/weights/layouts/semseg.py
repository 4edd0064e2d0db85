"""Key map of semseg (PSPNet in PyTorch, by the paper's first author)."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from kseg.models import PSPNet
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import resnet, resnet_modules
from kseg.weights.source import Arrays, Source, classes_of, is_counter
from kseg.weights.transfer import Move

_BINS = (1, 2, 3, 6)


class Semseg(Source):
    """PSPNet-50 and 101."""

    name = "semseg/pspnet"
    output_strides = (8,)
    note = (
        "strides in the 3x3 convolutions, each stage at its own rate, aligned corners, RGB with ImageNet's mean and "
        "standard deviation"
    )
    licence = "MIT"
    page = "https://github.com/hszhao/semseg"
    marks = ("ppm.features.0.1.weight", "layer0.6.weight")
    auxiliary = ("aux.0", "aux.1", "aux.4")

    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        backbone = resnet(arrays, "", output_stride, self.name)
        filters = classes_of(arrays, "cls.0.weight")
        return PSPNet(backbone, classes_of(arrays, "cls.4.weight"), bins=_BINS, filters=filters, momentum=0.9)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        modules = resnet_modules(model, arrays, "")
        for number, bins in enumerate(_BINS):
            modules[f"pyramid/conv_{bins}"] = f"ppm.features.{number}.1"
            modules[f"pyramid/bn_{bins}"] = f"ppm.features.{number}.2"
        modules |= {"conv": "cls.0", "bn": "cls.1", "score": "cls.4"}
        return torch_moves(model, modules)

    def left_out(self, key: str) -> bool:
        return is_counter(key) or key.startswith("aux.")


SOURCES = (Semseg(),)
