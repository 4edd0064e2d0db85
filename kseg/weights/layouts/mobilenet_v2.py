"""Key maps of DeepLab v3 on MobileNetV2: TensorFlow's checkpoints, and Hugging Face's copies of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np

from kseg.backbones import MobileNetV2
from kseg.errors import ModelError
from kseg.models import DeepLabV3
from kseg.weights.axes import kept, torch_moves, turned
from kseg.weights.source import Arrays, Source, classes_of, is_counter, shape_of
from kseg.weights.transfer import Move, variables

_BLOCKS = 17
_AS_IT_IS = (0, 1, 2, 3)
_VARIABLES = {
    "gamma": "BatchNorm/gamma",
    "beta": "BatchNorm/beta",
    "moving_mean": "BatchNorm/moving_mean",
    "moving_variance": "BatchNorm/moving_variance",
    "bias": "biases",
}


def _network(
    stem: int, branch: int, classes: int, output_stride: int, upsampling: str, what: str
) -> keras.Model:
    """DeepLab v3 without rates, on a MobileNetV2 whose first convolution has `stem` filters."""
    if stem % 8 or not stem:
        raise ModelError(
            f"{what}: a first convolution of {stem} filters, which is no MobileNetV2 that kseg builds"
        )
    form = {"output_stride": output_stride, "width": stem / 32, "last_filters": None, "momentum": 0.997}
    backbone = MobileNetV2(name="mobilenet_v2", **form)
    head = {
        "rates": (),
        "filters": branch,
        "head": False,
        "dropout": 0.1,
        "momentum": 0.9997,
        "epsilon": 1e-5,
    }
    return DeepLabV3(backbone, classes, upsampling=upsampling, **head)


def _image_level_last(inputs: int) -> np.ndarray:
    """The projection's input channels: both programs have the image level first, kseg last."""
    return np.roll(np.arange(inputs), -(inputs // 2))


def _from_tensorflow(arrays: Arrays, output_stride: int) -> keras.Model:
    what = "tensorflow/deeplabv3_mobilenet_v2"
    sizes = [
        shape_of(arrays, f"{name}/weights", what)[3]
        for name in ("MobilenetV2/Conv", "aspp0", "logits/semantic")
    ]
    return _network(*sizes, output_stride, "corners", what)


def _scope(layer: str) -> str:
    """kseg's layer, without its ending -> slim's scope."""
    head = {"aspp_1x1": "aspp0", "image_level": "image_pooling", "projection": "concat_projection"}
    if layer in head:
        return head[layer]
    if layer == "stem":
        return "MobilenetV2/Conv"
    block, _, part = layer.partition("_")
    number = int(block.removeprefix("block")) - 1
    part = {"expand": "expand", "dw": "depthwise", "project": "project"}[part]
    return f"MobilenetV2/expanded_conv{f'_{number}' if number else ''}/{part}"


def _tensorflow_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    order = _image_level_last(arrays["concat_projection/weights"].shape[2])
    for target in variables(model):
        layer, _, name = target.rpartition("/")
        scope = (
            "logits/semantic" if layer == "score" else _scope(layer.removesuffix("_conv").removesuffix("_bn"))
        )
        if name in _VARIABLES:
            yield kept(target, f"{scope}/{_VARIABLES[name]}")
        else:
            depthwise = "depthwise_" if scope.endswith("/depthwise") else ""
            turn = order if layer == "projection_conv" else None
            yield turned(target, f"{scope}/{depthwise}weights", _AS_IT_IS, turn)


def _no_place_in_tensorflow(key: str) -> bool:
    slots = ("/Momentum", "/Adam", "/Adam_1", "/RMSProp", "/RMSProp_1")
    return key == "global_step" or key.endswith(slots) or key.startswith("MobilenetV2/Conv_1/")


def _from_huggingface(arrays: Arrays, output_stride: int) -> keras.Model:
    what = "huggingface/deeplabv3_mobilenet_v2"
    stem = shape_of(arrays, "mobilenet_v2.conv_stem.first_conv.convolution.weight", what)[0]
    branch = classes_of(arrays, "segmentation_head.conv_aspp.convolution.weight")
    classes = classes_of(arrays, "segmentation_head.classifier.convolution.weight")
    return _network(stem, branch, classes, output_stride, "size", what)


def _huggingface_moves(model: keras.Model, arrays: Arrays) -> Iterable[Move]:
    stem, head = "mobilenet_v2.conv_stem", "segmentation_head"
    parts = {
        "stem": f"{stem}.first_conv",
        "block1_dw": f"{stem}.conv_3x3",
        "block1_project": f"{stem}.reduce_1x1",
    }
    names = {"expand": "expand_1x1", "dw": "conv_3x3", "project": "reduce_1x1"}
    for block in range(2, _BLOCKS + 1):
        for mine, theirs in names.items():
            parts[f"block{block}_{mine}"] = f"mobilenet_v2.layer.{block - 2}.{theirs}"
    parts |= {"aspp_1x1": f"{head}.conv_aspp", "image_level": f"{head}.conv_pool"}
    parts |= {"projection": f"{head}.conv_projection"}
    modules = {"score": f"{head}.classifier.convolution"}
    for layer, module in parts.items():
        modules |= {f"{layer}_conv": f"{module}.convolution", f"{layer}_bn": f"{module}.normalization"}
    inputs = arrays[f"{head}.conv_projection.convolution.weight"].shape[1]
    return torch_moves(model, modules, {"projection_conv": _image_level_last(inputs)})


def _source(
    program: str,
    keys: set[str],
    build: Callable,
    moves: Callable,
    left_out: Callable[[str], bool],
    note: str,
    page: str,
) -> Source:
    return Source(
        name=f"{program}/deeplabv3_mobilenet_v2",
        recognises=lambda arrays: keys <= arrays.keys(),
        build=build,
        moves=moves,
        output_strides=(8, 16),
        left_out=left_out,
        note=f"TensorFlow's padding, RGB scaled to -1..1, {note}",
        licence="Apache-2.0",
        page=page,
    )


SOURCES = (
    _source(
        "tensorflow",
        {"MobilenetV2/Conv/weights", "aspp0/weights", "image_pooling/weights"},
        _from_tensorflow,
        _tensorflow_moves,
        _no_place_in_tensorflow,
        "aligned corners",
        "https://github.com/tensorflow/models/blob/master/research/deeplab/g3doc/model_zoo.md",
    ),
    _source(
        "huggingface",
        {
            "mobilenet_v2.conv_stem.first_conv.convolution.weight",
            "segmentation_head.conv_aspp.convolution.weight",
        },
        _from_huggingface,
        _huggingface_moves,
        lambda key: is_counter(key) or key.startswith("mobilenet_v2.conv_1x1."),
        "half-pixel resizing to the image's size, as its processor does",
        "https://huggingface.co/google/deeplabv3_mobilenet_v2_1.0_513",
    ),
)
