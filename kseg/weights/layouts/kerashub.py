"""Key map of KerasHub's DeepLabV3+ on ResNet."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from kseg.backbones import TORCH, ResNet
from kseg.errors import ModelError
from kseg.models import DeepLabV3Plus
from kseg.weights.axes import constant, kept
from kseg.weights.layouts.resnet import DEPTHS
from kseg.weights.source import Arrays, Source, count_of, shape_of
from kseg.weights.transfer import Move, variables

_BLOCK = re.compile(r"conv(\d)_block(\d+)_(\d_(?:conv|bn))")
_NUMBERS = {"kernel": 0, "gamma": 0, "beta": 1, "moving_mean": 2, "moving_variance": 3}
_HEAD = {
    "aspp_1x1_conv": "aspp_conv_1",
    "aspp_1x1_bn": "aspp_bn_1",
    "image_level_conv": "conv_pooling",
    "image_level_bn": "bn_pooling",
    "projection_conv": "conv_projection",
    "projection_bn": "bn_projection",
    "low_level_conv": "decoder_conv",
    "low_level_bn": "decoder_norm",
    "decoder1_conv": "segmentation_head_conv",
    "decoder1_bn": "segmentation_head_norm",
    "score": "segmentation_output",
}


class DeepLabPlus(Source):
    """DeepLabV3+ on ResNet."""

    name = "kerashub/deeplabv3plus"
    output_strides = (32,)
    note = (
        "images scaled to 0..1, an ASPP on a map that is not dilated, half-pixel resizing; images whose sides "
        "divide by 32"
    )
    licence = "Apache-2.0 for the code; that of weights is on their page"
    page = "https://www.kaggle.com/models/keras/deeplabv3plus"
    marks = ("segmentation_head_conv/0", "aspp_conv_1/0")

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        return {**super().usual(arrays, known), "aspp_rates": (6, 12, 18)}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        if "segmentation_output/0" not in arrays:
            raise ModelError(
                f"{self.name}: a network without its scores, such as a preset's model.weights.h5 alone: give the "
                "preset's folder, or what the segmenter's save or save_weights wrote"
            )
        counts = tuple(count_of(arrays, f"stack{stack}_block{{}}_") for stack in range(4))
        if counts not in DEPTHS:
            raise ModelError(
                f"{self.name}: stages of {counts} blocks, which is not a ResNet that kseg builds"
            )
        form = {**TORCH, "mean": (0.0, 0.0, 0.0), "std": (255.0, 255.0, 255.0), "momentum": 0.9}
        form["filters"] = shape_of(arrays, "conv1_conv/0", self.name)[3]
        backbone = ResNet(
            DEPTHS[counts], output_stride=settings["output_stride"], name=f"resnet{DEPTHS[counts]}", **form
        )
        return DeepLabV3Plus(
            backbone,
            shape_of(arrays, "segmentation_output/0", self.name)[3],
            rates=settings["aspp_rates"],
            filters=shape_of(arrays, "conv_projection/0", self.name)[3],
            separable=False,
            low_level_filters=shape_of(arrays, "decoder_conv/0", self.name)[3],
            decoder_convolutions=1,
            decoder_kernel=1,
            dropout=0.0,
            upsampling="size",
            epsilon=1e-3,
            momentum=0.99,
        )

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        names = dict(_HEAD)
        for number, rate in enumerate(model.rates, start=2):
            names |= {f"aspp_{rate}_{kind}": f"aspp_{kind}_{number}" for kind in ("conv", "bn")}
        for target in variables(model):
            layer, _, name = target.rpartition("/")
            block = _BLOCK.fullmatch(layer)
            theirs = names.get(layer, layer)  # the stem has its name in both
            if block:
                theirs = f"stack{int(block[1]) - 2}_block{int(block[2]) - 1}_{block[3]}"
            if (
                target == "score/bias"
            ):  # KerasHub scores after the upsampling, without a bias: the same function
                yield constant(target, 0)
            else:
                yield kept(target, f"{theirs}/{_NUMBERS[name]}")


SOURCES = (DeepLabPlus(),)
