"""Key map of the released Caffe files of PSPNet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras

from kseg.backbones import ResNet
from kseg.errors import ModelError
from kseg.models import PSPNet
from kseg.weights.axes import kept
from kseg.weights.layouts.caffe import BLOCK, kernel, pspnet_norm
from kseg.weights.source import Arrays, Source, count_of
from kseg.weights.transfer import Move

_BINS = (6, 3, 2, 1)  # the order in which the release concatenates them
_DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152, (3, 30, 48, 8): 269}


class Pyramid(Source):
    """PSPNet-50, 101 and deeper."""

    name = "caffe/pspnet"
    output_strides = (8,)
    note = "levels concatenated as 6, 3, 2, 1; BGR without VGG's mean"
    licence = "not stated with the files; academic research, as the authors' page states"
    page = "https://github.com/hszhao/PSPNet"
    marks = ("conv5_3_pool6_conv/0",)

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        counts = tuple(count_of(arrays, f"conv{stage}_{{}}_1x1_", 1) for stage in range(2, 6))
        depth = _DEPTHS.get(counts)
        if depth is None:
            raise ModelError(f"{self.name}: stages of {counts} blocks are not a ResNet that kseg builds")
        backbone = ResNet(
            depth, stem="deep", output_stride=settings["output_stride"], epsilon=1e-5, name=f"resnet{depth}"
        )
        return PSPNet(backbone, int(arrays["conv6/1"].size), bins=_BINS)

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        blobs = {"conv1_1": "conv1_1_3x3_s2", "conv1_2": "conv1_2_3x3", "conv1_3": "conv1_3_3x3"}
        parts = {"0": "1x1_proj", "1": "1x1_reduce", "2": "3x3", "3": "1x1_increase"}
        for layer in model.layers:
            found = BLOCK.fullmatch(layer.name)
            if found and found[4] == "conv":
                stage, block, number, _ = found.groups()
                blobs[layer.name.removesuffix("_conv")] = f"conv{stage}_{block}_{parts[number]}"
        pairs = {(f"{layer}_conv", f"{layer}_bn"): blob for layer, blob in blobs.items()}
        pairs |= {(f"pyramid/conv_{b}", f"pyramid/bn_{b}"): f"conv5_3_pool{b}_conv" for b in _BINS}
        pairs["conv", "bn"] = "conv5_4"
        for (convolution_, norm), blob in pairs.items():
            yield kernel(f"{convolution_}/kernel", f"{blob}/0")
            yield from pspnet_norm(norm, f"{blob}/bn")
        yield kernel("score/kernel", "conv6/0")
        yield kept("score/bias", "conv6/1")

    def left_out(self, key: str) -> bool:
        return key.split("/")[0].startswith(("conv4_aux", "conv6_1", "conv_aux"))


SOURCES = (Pyramid(),)
