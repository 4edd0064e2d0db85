"""Key maps of the released Caffe files of DeepLab v1 and v2."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from kseg.backbones import DeepLabVGG16, ResNet
from kseg.errors import ModelError
from kseg.models import DeepLabV1, DeepLabV2
from kseg.weights.layouts.caffe import BLOCK, batch_norm, convolution, kernel, vgg_blobs
from kseg.weights.source import Arrays, Source
from kseg.weights.transfer import Move, variables

MEAN = (122.675, 116.669, 104.008)  # red, green, blue
# The multi-scale files repeat every blob for the image at three quarters and at half of its size.
_REPEATS = ("_res075", "_res05")


def _deeplab_v1(arrays: Arrays, output_stride: int) -> keras.Model:
    del output_stride
    out, _, side, _ = arrays["fc6/0"].shape
    kinds = {
        (3, 1024): {},
        (4, 4096): {"rate": 8, "average": False},
        (7, 4096): {"rate": 4, "average": False},
    }
    if (side, out) not in kinds:
        raise ModelError(f"caffe/deeplabv1: fc6 of {side}x{side} and {out} filters is none of the release's")
    if arrays[f"{_fc8(arrays)}/0"].size != out * arrays[f"{_fc8(arrays)}/1"].size:
        raise ModelError(
            "caffe/deeplabv1: scores of more than fc7, as in the multi-scale (MSc) files: the order of their branches "
            "is in the prototxt only, which kseg does not read"
        )
    backbone = DeepLabVGG16(kernel=side, filters=out, name="vgg16", **kinds[side, out])
    return DeepLabV1(backbone, int(arrays[f"{_fc8(arrays)}/1"].size))


def _fc8(arrays: Arrays) -> str:
    return next(name for name in ("fc8_voc12", "fc8") if f"{name}/0" in arrays)


def _deeplab_v1_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    names = variables(model)
    for layer, blob in {**vgg_blobs(model), "fc6": "fc6", "fc7": "fc7", "fc8": _fc8(arrays)}.items():
        yield from convolution(layer, blob, names)


def _deeplab_v2_vgg(arrays: Arrays, output_stride: int) -> keras.Model:
    del output_stride
    backbone = DeepLabVGG16(filters=None, average=False, name="vgg16")
    hidden, classes = int(arrays["fc6_1/1"].size), int(arrays["fc8_voc12_1/1"].size)
    return DeepLabV2(backbone, classes, hidden=hidden)


def _deeplab_v2_vgg_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    names, blobs = variables(model), vgg_blobs(model)
    for branch in range(1, 5):
        for part, blob in (("fc6", "fc6"), ("fc7", "fc7"), ("fc8", "fc8_voc12")):
            blobs[f"aspp/{part}_{branch}"] = f"{blob}_{branch}"
    for layer, blob in blobs.items():
        yield from convolution(layer, blob, names)


def _deeplab_v2_resnet(arrays: Arrays, output_stride: int) -> keras.Model:
    settings = {"epsilon": 1e-5, "mean": MEAN, "frozen_normalization": True}
    backbone = ResNet(101, output_stride=output_stride, name="resnet101", **settings)
    return DeepLabV2(backbone, int(arrays["fc1_voc12_c0/1"].size))


def _deeplab_v2_resnet_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    yield kernel("conv1_conv/kernel", "conv1/0")
    yield from batch_norm("conv1_bn", "bn_conv1", "scale_conv1")
    branches = {"0": "branch1", "1": "branch2a", "2": "branch2b", "3": "branch2c"}
    for layer in model.layers:
        found = BLOCK.fullmatch(layer.name)
        if not found:
            continue
        stage, block, number, kind = found.groups()
        lettered = f"{stage}{chr(96 + int(block))}"
        numbered = f"{stage}{'a' if block == '1' else f'b{int(block) - 1}'}"
        place = f"{numbered if f'res{numbered}_branch2a/0' in arrays else lettered}_{branches[number]}"
        if kind == "conv":
            yield kernel(f"{layer.name}/kernel", f"res{place}/0")
        else:
            yield from batch_norm(layer.name, f"bn{place}", f"scale{place}")
    for branch in range(4):
        yield from convolution(f"aspp/fc8_{branch + 1}", f"fc1_voc12_c{branch}", variables(model))


_LICENCE = "not stated with the files; the code is BSD"
_PAGE = "http://liangchiehchen.com/projects/DeepLab_Models.html"
V1 = Source(
    name="caffe/deeplabv1",
    recognises=lambda arrays: "fc6/0" in arrays and "fc8_voc12/0" in arrays,
    build=_deeplab_v1,
    moves=_deeplab_v1_moves,
    output_strides=(8,),
    note="BGR without the mean of the release; its test padded images to 513x513",
    licence=_LICENCE,
    page=_PAGE,
)
V2_VGG16 = Source(
    name="caffe/deeplabv2_vgg16",
    recognises=lambda arrays: "fc8_voc12_1/0" in arrays,
    build=_deeplab_v2_vgg,
    moves=_deeplab_v2_vgg_moves,
    output_strides=(8,),
    left_out=lambda key: key.split("/")[0].endswith(_REPEATS),
    note="rates 6, 12, 18, 24; BGR without the mean of the release",
    licence=_LICENCE,
    page=_PAGE,
)
V2_RESNET101 = Source(
    name="caffe/deeplabv2_resnet101",
    recognises=lambda arrays: "fc1_voc12_c0/0" in arrays,
    build=_deeplab_v2_resnet,
    moves=_deeplab_v2_resnet_moves,
    output_strides=(8,),
    left_out=lambda key: key.split("/")[0].endswith(_REPEATS),
    note="rates 6, 12, 18, 24; one scale (for the release's 1, 0.75 and 0.5 wrap it in MultiScale); BGR without the "
    "mean of the release",
    licence=_LICENCE,
    page=_PAGE,
)
SOURCES = (V1, V2_VGG16, V2_RESNET101)
