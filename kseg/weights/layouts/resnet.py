"""ResNet as PyTorch's programs name it: depth and stem by the keys, and kseg's layer for every module."""

from __future__ import annotations

import re

import keras

from kseg.backbones import TORCH, ResNet
from kseg.errors import ModelError
from kseg.weights.source import Arrays, count_of, shape_of

# How images are scaled, which no key shows.
IMAGES = {"mean": TORCH["mean"], "std": TORCH["std"]}
DEPTHS = {
    (3, 4, 6, 3): 50,
    (3, 4, 23, 3): 101,
    (3, 8, 36, 3): 152,
}
_BASIC_DEPTHS = {(2, 2, 2, 2): 18, (3, 4, 6, 3): 34}
_BLOCK = re.compile(r"conv(\d)_block(\d+)_(\d)_(conv|bn)")
# kseg's layers of a stem -> modules, for every way that programs name it.
STEMS = {
    "conv1": {"conv1": ("conv1", "bn1")},
    "stem": {
        "conv1_1": ("stem.0", "stem.1"),
        "conv1_2": ("stem.3", "stem.4"),
        "conv1_3": ("stem.6", "stem.7"),
    },
    "layer0": {
        "conv1_1": ("layer0.0", "layer0.1"),
        "conv1_2": ("layer0.3", "layer0.4"),
        "conv1_3": ("layer0.6", "layer0.7"),
    },
    "timm": {
        "conv1_1": ("conv1.0", "conv1.1"),
        "conv1_2": ("conv1.3", "conv1.4"),
        "conv1_3": ("conv1.6", "bn1"),
    },
}


def stem_of(arrays: Arrays, prefix: str) -> str:
    """Which of `STEMS` the keys have."""
    firsts = {"stem": "stem.", "layer0": "layer0.", "timm": "conv1.1."}
    found = (name for name, first in firsts.items() if any(key.startswith(prefix + first) for key in arrays))
    return next(found, "conv1")


def depth_of(arrays: Arrays, prefix: str, what: str) -> int:
    """The depth, by the blocks of its stages.

    Raises:
        ModelError: no ResNet that kseg builds, or one of another width (ResNeXt, Wide ResNet).
    """
    counts = tuple(count_of(arrays, f"{prefix}layer{stage}.{{}}.conv") for stage in range(1, 5))
    bottleneck = f"{prefix}layer1.0.conv3.weight" in arrays
    depth = (DEPTHS if bottleneck else _BASIC_DEPTHS).get(counts)
    if depth is None:
        raise ModelError(
            f"{what}: a network with stages of {counts} blocks, which is not a ResNet that kseg builds"
        )
    return depth


def width_of(arrays: Arrays, prefix: str, what: str) -> int:
    """The width of the stem and of the first stage's 3x3 convolutions.

    Raises:
        ModelError: a ResNeXt or Wide ResNet.
    """
    width = shape_of(arrays, f"{prefix}layer1.0.conv1.weight", what)[0]
    middle = shape_of(arrays, f"{prefix}layer1.0.conv2.weight", what)
    plain = stem_of(arrays, prefix) != "conv1" or shape_of(arrays, f"{prefix}conv1.weight", what)[0] == width
    if middle[:2] != (width, width) or not plain:
        raise ModelError(f"{what}: a ResNeXt or Wide ResNet, which kseg does not build")
    return width


def resnet(arrays: Arrays, prefix: str, output_stride: int, what: str, **settings: object) -> ResNet:
    """The backbone that the keys ask for, as PyTorch's programs build it, with random weights.

    Args:
        arrays: the file's.
        prefix: of the backbone's keys.
        output_stride: 32, 16 or 8.
        what: for messages.
        **settings: of `ResNet`, such as `first_rate`.
    """
    depth, stem = depth_of(arrays, prefix, what), stem_of(arrays, prefix)
    first, _ = next(iter(STEMS[stem].values()))
    channels = shape_of(arrays, f"{prefix}{first}.weight", what)[1]
    if channels != 3:
        raise ModelError(f"{what}: a network for images of {channels} channels; kseg imports those for RGB")
    own = {**TORCH, "momentum": 0.9, "filters": width_of(arrays, prefix, what)}
    if stem != "conv1":
        own["stem"] = "deep"
        keys = [f"{prefix}{conv}.weight" for conv, _ in STEMS[stem].values()]
        own["stem_filters"] = tuple(int(arrays[key].shape[0]) for key in keys if key in arrays)
    if f"{prefix}layer2.0.downsample.2.weight" in arrays:  # 0 is the average pooling
        own["shortcut"] = "average"
    name = f"resnet{depth}"
    return ResNet(depth, output_stride=output_stride, name=name, **{**own, **settings})


def resnet_modules(model: keras.Model, arrays: Arrays, prefix: str) -> dict[str, str]:
    """kseg's layers of a ResNet -> modules of a PyTorch program."""
    modules = {}
    for layer, (conv, bn) in STEMS[stem_of(arrays, prefix)].items():
        modules[f"{layer}_conv"], modules[f"{layer}_bn"] = prefix + conv, prefix + bn
    first = 1 if f"{prefix}layer2.0.downsample.2.weight" in arrays else 0
    for layer in model.layers:
        found = _BLOCK.fullmatch(layer.name)
        if found:
            stage, block, number, kind = found.groups()
            inner = f"{kind}{number}" if number != "0" else f"downsample.{first + (kind == 'bn')}"
            modules[layer.name] = f"{prefix}layer{int(stage) - 1}.{int(block) - 1}.{inner}"
    return modules
