"""MobileNetV3 and V2 as torchvision names them."""

from __future__ import annotations

from typing import Any

import keras

from kseg.backbones import MobileNetV2, MobileNetV3
from kseg.errors import ModelError
from kseg.weights.source import Arrays, count_of, shape_of

# Blocks between the stem and the last convolution.
_BLOCKS = {15: "large", 11: "small"}
V2_BLOCKS = 17


def mobilenet(
    arrays: Arrays, prefix: str, output_stride: int, what: str, stage_block: str = "last", **images: Any
) -> MobileNetV3:
    """The backbone that the keys ask for, with random weights.

    Args:
        arrays: the file's.
        prefix: of the backbone's keys.
        output_stride: 32, 16 or 8.
        what: for messages.
        stage_block: as `MobileNetV3` takes it.
        **images: its `mean` and `std`.
    """
    count = count_of(arrays, f"{prefix}{{}}.block.", 1)
    if count not in _BLOCKS:
        raise ModelError(f"{what}: a backbone of {count} blocks, which is not a MobileNetV3 that kseg builds")
    width = shape_of(arrays, f"{prefix}{count + 1}.0.weight", what)[0] / {15: 960, 11: 576}[count]
    name = f"mobilenet_v3_{_BLOCKS[count]}"
    form = {"output_stride": output_stride, "stage_block": stage_block, "width": width or 1, **images}
    return MobileNetV3(_BLOCKS[count], name=name, **form)


def mobilenet_modules(model: keras.Model, arrays: Arrays, prefix: str) -> dict[str, str]:
    """kseg's layers of a MobileNetV3 -> torchvision's modules."""
    del model
    count = count_of(arrays, f"{prefix}{{}}.block.", 1)
    modules = {}
    for layer, module in (("stem", f"{prefix}0"), ("last", f"{prefix}{count + 1}")):
        modules |= {f"{layer}_conv": f"{module}.0", f"{layer}_bn": f"{module}.1"}
    for block in range(1, count + 1):
        inside, own = f"{prefix}{block}.block", f"block{block}"
        parts = [n for n in range(4) if f"{inside}.{n}.0.weight" in arrays]
        names = ("expand", "dw", "project")[3 - len(parts) :]  # the first block does not expand
        for name, part in zip(names, parts, strict=True):
            modules |= {f"{own}_{name}_conv": f"{inside}.{part}.0", f"{own}_{name}_bn": f"{inside}.{part}.1"}
        squeeze = next((n for n in range(4) if f"{inside}.{n}.fc1.weight" in arrays), None)
        if squeeze is not None:
            modules |= {f"{own}_{fc}": f"{inside}.{squeeze}.{fc}" for fc in ("fc1", "fc2")}
    return modules


def mobilenet_v2(arrays: Arrays, prefix: str, output_stride: int, what: str, **form: Any) -> MobileNetV2:
    """The backbone that the keys ask for, with random weights.

    Args:
        arrays: the file's.
        prefix: of the backbone's keys.
        output_stride: 32, 16 or 8.
        what: for messages.
        **form: `first_rate`, `mean` and `std` of `MobileNetV2`.
    """
    stem = shape_of(arrays, f"{prefix}features.0.0.weight", what)
    last = shape_of(arrays, f"{prefix}features.{V2_BLOCKS + 1}.0.weight", what)[0]
    if stem[0] % 8 or not stem[0] or stem[1] != 3:
        raise ModelError(
            f"{what}: a first convolution of {stem[0]} filters on {stem[1]} channels, which is not a MobileNetV2 that "
            "kseg builds"
        )
    form |= {"output_stride": output_stride, "width": stem[0] / 32, "last_filters": last}
    form |= {"padding": "symmetric", "epsilon": 1e-5, "momentum": 0.9}
    return MobileNetV2(name="mobilenet_v2", **form)


def mobilenet_v2_modules(model: keras.Model, arrays: Arrays, prefix: str) -> dict[str, str]:
    """kseg's layers of a MobileNetV2 -> torchvision's modules."""
    del model, arrays
    modules = {}
    for layer, number in (("stem", 0), ("last", V2_BLOCKS + 1)):
        modules |= {
            f"{layer}_conv": f"{prefix}features.{number}.0",
            f"{layer}_bn": f"{prefix}features.{number}.1",
        }
    for block in range(1, V2_BLOCKS + 1):
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
