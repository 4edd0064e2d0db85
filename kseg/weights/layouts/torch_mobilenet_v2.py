"""MobileNetV2 as torchvision names it, and its classifier as a backbone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from kseg.backbones import MobileNetV2
from kseg.errors import ModelError
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import IMAGES
from kseg.weights.layouts.torchvision import Torchvision
from kseg.weights.source import ENDING, Arrays, shape_of
from kseg.weights.transfer import Move

_BLOCKS = 17


def mobilenet(arrays: Arrays, prefix: str, output_stride: int, what: str, **form: Any) -> MobileNetV2:
    """The backbone that the keys ask for, with random weights.

    Args:
        arrays: the file's.
        prefix: of the backbone's keys.
        output_stride: 32, 16 or 8.
        what: for messages.
        **form: `first_rate`, `mean` and `std` of `MobileNetV2`.
    """
    stem = shape_of(arrays, f"{prefix}features.0.0.weight", what)
    last = shape_of(arrays, f"{prefix}features.{_BLOCKS + 1}.0.weight", what)[0]
    if stem[0] % 8 or not stem[0] or stem[1] != 3:
        raise ModelError(
            f"{what}: a first convolution of {stem[0]} filters on {stem[1]} channels, which is not a MobileNetV2 that "
            "kseg builds"
        )
    form |= {"output_stride": output_stride, "width": stem[0] / 32, "last_filters": last}
    form |= {"padding": "symmetric", "epsilon": 1e-5, "momentum": 0.9}
    return MobileNetV2(name="mobilenet_v2", **form)


def mobilenet_modules(model: keras.Model, arrays: Arrays, prefix: str) -> dict[str, str]:
    """kseg's layers of a MobileNetV2 -> torchvision's modules."""
    del model, arrays
    modules = {}
    for layer, number in (("stem", 0), ("last", _BLOCKS + 1)):
        modules |= {
            f"{layer}_conv": f"{prefix}features.{number}.0",
            f"{layer}_bn": f"{prefix}features.{number}.1",
        }
    for block in range(1, _BLOCKS + 1):
        inside, own = f"{prefix}features.{block}.conv", f"block{block}"
        names = ("expand", "dw")[block == 1 :]  # the first block does not expand
        for number, name in enumerate(names):
            modules |= {
                f"{own}_{name}_conv": f"{inside}.{number}.0",
                f"{own}_{name}_bn": f"{inside}.{number}.1",
            }
        count = len(names)
        modules |= {f"{own}_project_conv": f"{inside}.{count}", f"{own}_project_bn": f"{inside}.{count + 1}"}
    return modules


class MobileNetV2Classifier(Torchvision):
    """An ImageNet classifier, whose scores are left out."""

    name = "torchvision/mobilenet_v2"
    output_strides = (32, 16, 8)
    note = "an ImageNet backbone, RGB"
    marks = ("features.0.0.weight", "features.1.conv.0.0.weight", f"features.{_BLOCKS + 1}.0.weight")
    spare = rf"classifier\.1{ENDING}"

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().usual(arrays, known), "first_rate": "previous", **IMAGES}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        return mobilenet(arrays, "", what=self.name, **settings)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        return torch_moves(model, mobilenet_modules(model, arrays, ""))


SOURCES = (MobileNetV2Classifier(),)
