"""Key maps of DeepLab v3 on MobileNetV2: TensorFlow's checkpoints, and Hugging Face's copies of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from kseg.backbones import MobileNetV2
from kseg.errors import ModelError
from kseg.models import DeepLabV3
from kseg.weights.axes import kept, torch_moves, turned
from kseg.weights.source import ENDING, Arrays, Source, classes_of, shape_of
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
# kseg's parts of a block, and its layers outside of blocks, without their endings -> slim's scopes.
_PARTS = {"expand": "expand", "dw": "depthwise", "project": "project"}
_SCOPES = {
    "stem": "MobilenetV2/Conv",
    "aspp_1x1": "aspp0",
    "image_level": "image_pooling",
    "projection": "concat_projection",
    "score": "logits/semantic",
}


class DeepLabOnMobileNetV2(Source):
    """What both programs share: DeepLab v3 without rates."""

    output_strides = (8, 16)
    licence = "Apache-2.0"
    upsampling: str

    def network(self, stem: int, branch: int, classes: int, output_stride: int) -> keras.Model:
        """The network on a MobileNetV2 whose first convolution has `stem` filters, with branches of `branch`."""
        if stem % 8 or not stem:
            raise ModelError(
                f"{self.name}: a first convolution of {stem} filters, which is not a MobileNetV2 that kseg builds"
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
        return DeepLabV3(backbone, classes, upsampling=self.upsampling, **head)

    def image_level_last(self, inputs: int) -> np.ndarray:
        """The projection's input channels: both programs have the image level first, kseg last."""
        return np.roll(np.arange(inputs), -(inputs // 2))


class OfTensorFlow(DeepLabOnMobileNetV2):
    """slim's variables, from a checkpoint or a frozen graph."""

    name = "tensorflow/deeplabv3_mobilenet_v2"
    note = "TensorFlow's padding, RGB scaled to -1..1, aligned corners"
    page = "https://github.com/tensorflow/models/blob/master/research/deeplab/g3doc/model_zoo.md"
    marks = ("MobilenetV2/Conv/weights", "aspp0/weights", "image_pooling/weights")
    upsampling = "corners"

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        names = ("MobilenetV2/Conv", "aspp0", "logits/semantic")
        sizes = [shape_of(arrays, f"{name}/weights", self.name)[3] for name in names]
        return self.network(*sizes, settings["output_stride"])

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        order = self.image_level_last(arrays["concat_projection/weights"].shape[2])
        for target in variables(model):
            layer, _, name = target.rpartition("/")
            short = layer.removesuffix("_conv").removesuffix("_bn")
            scope = _SCOPES.get(short)
            if scope is None:
                block, _, part = short.partition("_")
                number = int(block.removeprefix("block")) - 1
                scope = f"MobilenetV2/expanded_conv{f'_{number}' if number else ''}/{_PARTS[part]}"
            if name in _VARIABLES:
                yield kept(target, f"{scope}/{_VARIABLES[name]}")
            else:
                depthwise = "depthwise_" if scope.endswith("/depthwise") else ""
                turn = order if layer == "projection_conv" else None
                yield turned(target, f"{scope}/{depthwise}weights", _AS_IT_IS, turn)

    def left_out(self, key: str) -> bool:
        slots = ("/Momentum", "/Adam", "/Adam_1", "/RMSProp", "/RMSProp_1")
        return key == "global_step" or key.endswith(slots) or key.startswith("MobilenetV2/Conv_1/")


class OfTransformers(DeepLabOnMobileNetV2):
    """Hugging Face's copies."""

    name = "huggingface/deeplabv3_mobilenet_v2"
    note = "TensorFlow's padding, RGB scaled to -1..1, half-pixel resizing to the image's size, as its processor does"
    page = "https://huggingface.co/google/deeplabv3_mobilenet_v2_1.0_513"
    marks = (
        "mobilenet_v2.conv_stem.first_conv.convolution.weight",
        "segmentation_head.conv_aspp.convolution.weight",
    )
    upsampling = "size"
    spare = rf"mobilenet_v2\.conv_1x1\.(convolution|normalization){ENDING}"

    def of_config(self, config: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
        if config.get("model_type") != "mobilenet_v2":
            return {}
        usual = {
            "tf_padding": True,
            "first_layer_is_expansion": True,
            "finegrained_output": True,
            "hidden_act": "relu6",
        }
        for name, value in usual.items():
            if config.get(name, value) != value:
                raise ModelError(
                    f"{self.name}: its config.json says {name} {config[name]}; kseg builds these networks with {value}"
                )
        stride = config.get("output_stride")
        return {} if stride is None else {"output_stride": stride}

    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        stem = shape_of(arrays, self.marks[0], self.name)[0]
        branch = classes_of(arrays, self.marks[1])
        classes = classes_of(arrays, "segmentation_head.classifier.convolution.weight")
        return self.network(stem, branch, classes, settings["output_stride"])

    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
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
        return torch_moves(model, modules, {"projection_conv": self.image_level_last(inputs)})


SOURCES = (OfTensorFlow(), OfTransformers())
