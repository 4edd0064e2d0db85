"""The variants: each the head of a paper on the cached features, and how it is trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
from keras import layers

from kseg.backbones import Backbone
from kseg.layers import AtrousConv2D
from kseg.models import FCN, DeconvNet, DeepLabV1, DeepLabV2, DeepLabV3, DeepLabV3Plus, PSPNet
from kseg.models.deeplab_v2 import ASPP_L, ASPP_S
from kseg.training import Recipe

from .stored import CachedLite

WIDTH = 48  # of the pyramids' levels and branches; the papers have 256 to 1024 on maps of 512 to 2048 channels
LABELS_OF_CELLS = {"label_stride": 8}  # as DeepLab and PSPNet were released: the loss is at the map's own cells
LABELS_OF_PIXELS = {"label_stride": 4}  # of the upsampled scores, every fourth pixel in both directions


@dataclass(frozen=True)
class Variant:
    """A head and its training.

    Args:
        key: names its runs.
        head: from the folder of a cache and the number of classes to the model.
        changes: of the recipe, beside what all variants share.
        views: how many of an image's views it is trained on; None is all.
        before: heads that are trained first, each as long, and whose layers the next one starts from.
        times: it is trained so many times as long as others.
    """

    key: str
    head: Callable[[Path, int], keras.Model]
    changes: dict[str, Any] = field(default_factory=dict)
    views: int | None = None
    before: tuple[Callable[[Path, int], keras.Model], ...] = ()
    times: int = 1


def wide(folder: Path, stride: int = 32, **settings: Any) -> CachedLite:
    return CachedLite(folder, output_stride=stride, **settings)


def narrow(folder: Path, stride: int = 8) -> CachedLite:
    return CachedLite(folder, wide=False, output_stride=stride)


def fcn(stride: int, **settings: Any) -> Callable[[Path, int], keras.Model]:
    return lambda folder, classes: FCN(wide(folder), classes, stride=stride, **settings)


def field_of_view(kernel: int, rate: int) -> Callable[[Path, int], keras.Model]:
    """DeepLab v1's fc6 with holes and fc7, and the scores (`DeepLabVGG16` has these two in its backbone)."""

    def head(folder: Path, classes: int) -> keras.Model:
        maps = narrow(folder)
        relu = {"activation": "relu", "kernel_initializer": "he_normal"}
        x = AtrousConv2D(WIDTH, kernel, rate, name="fc6", **relu)(maps.deepest)
        x = layers.Dropout(0.2, name="drop6")(x)
        x = layers.Conv2D(WIDTH, 1, name="fc7", **relu)(x)
        x = layers.Dropout(0.2, name="drop7")(x)
        return DeepLabV1(Backbone(maps.input, {**maps.stages, "fc7": x}, output_stride=8), classes)

    return head


def aspp(rates: tuple[int, ...]) -> Callable[[Path, int], keras.Model]:
    return lambda folder, classes: DeepLabV2(narrow(folder), classes, rates=rates, hidden=WIDTH, dropout=0.2)


def pyramid(bins: tuple[int, ...], mode: str = "average", reduce: bool = True) -> Callable[[Path, int], keras.Model]:
    return lambda folder, classes: PSPNet(narrow(folder), classes, bins=bins, mode=mode, reduce=reduce, filters=WIDTH)


def deeplab_v3(**settings: Any) -> Callable[[Path, int], keras.Model]:
    shared = {"filters": WIDTH, "dropout": 0.1, "upsampling": "cells"}
    return lambda folder, classes: DeepLabV3(narrow(folder), classes, **shared, **settings)


def decoder(low_level: bool) -> Callable[[Path, int], keras.Model]:
    """DeepLabv3+'s decoder at output stride 16, or the same branches without it."""
    shared = {"rates": (3, 6, 9), "filters": WIDTH, "dropout": 0.1, "upsampling": "centres"}

    def head(folder: Path, classes: int) -> keras.Model:
        if low_level:
            return DeepLabV3Plus(narrow(folder, 16), classes, separable=False, low_level_filters=24, **shared)
        return DeepLabV3(narrow(folder, 16), classes, **shared)

    return head


def deconvolution(unpooling: str) -> Callable[[Path, int], keras.Model]:
    """DeconvNet's decoder on EfficientNet-Lite0, as the catalog has it, by its switches or without."""

    def head(folder: Path, classes: int) -> keras.Model:
        return DeconvNet(wide(folder, unpooling=unpooling), classes, depths=(1, 1, 2, 2), kernel_std=None)

    return head


ALL = (1, 2, 3, 6)
VARIANTS = (
    Variant("psp-baseline", pyramid(()), LABELS_OF_CELLS),
    Variant("psp-b1-max", pyramid((1,), "max", False), LABELS_OF_CELLS),
    Variant("psp-b1-ave", pyramid((1,), "average", False), LABELS_OF_CELLS),
    Variant("psp-b1236-max", pyramid(ALL, "max", False), LABELS_OF_CELLS),
    Variant("psp-b1236-ave", pyramid(ALL, "average", False), LABELS_OF_CELLS),
    Variant("psp-b1236-max-dr", pyramid(ALL, "max"), LABELS_OF_CELLS),
    Variant("psp-b1236-ave-dr", pyramid(ALL, "average"), LABELS_OF_CELLS),
    Variant("largefov", aspp((12,)), LABELS_OF_CELLS),
    Variant("aspp-s", aspp(ASPP_S), LABELS_OF_CELLS),
    Variant("aspp-l", aspp(ASPP_L), LABELS_OF_CELLS),
    Variant("v1-4x4-r4", field_of_view(4, 4), LABELS_OF_CELLS),
    Variant("v1-4x4-r8", field_of_view(4, 8), LABELS_OF_CELLS),
    Variant("v1-7x7-r4", field_of_view(7, 4), LABELS_OF_CELLS),
    Variant("v1-3x3-r12", field_of_view(3, 12), LABELS_OF_CELLS),
    Variant("v3-image-level", deeplab_v3(), LABELS_OF_CELLS),
    Variant("v3-no-image-level", deeplab_v3(image_level=False), LABELS_OF_CELLS),
    Variant("fcn32s", fcn(32), LABELS_OF_PIXELS),
    Variant("fcn16s", fcn(16), LABELS_OF_PIXELS),
    Variant("fcn8s", fcn(8), LABELS_OF_PIXELS),
    Variant("fcn8s-learned", fcn(8, learned_upsampling="all"), LABELS_OF_PIXELS),
    Variant("fcn8s-plain-views", fcn(8), LABELS_OF_PIXELS, views=1),
    Variant("fcn8s-balanced", fcn(8), {**LABELS_OF_PIXELS, "class_weights": "median_frequency"}),
    Variant("fcn8s-sampled", fcn(8), {**LABELS_OF_PIXELS, "sampling": 0.5, "batch_size": 4}),
    Variant("v3plus-decoder", decoder(True), LABELS_OF_PIXELS),
    Variant("v3plus-none", decoder(False), LABELS_OF_PIXELS),
    Variant("deconv-switches", deconvolution("switches"), LABELS_OF_PIXELS),
    Variant("deconv-fixed", deconvolution("fixed"), LABELS_OF_PIXELS),
    Variant("aspp-l-step", aspp(ASPP_L), {**LABELS_OF_CELLS, "schedule": "step"}),
    # Maps behind ReLU6 are alike in range: the skips need no fixed scales, which the paper's own network has at once.
    Variant("fcn8s-at-once", fcn(8), LABELS_OF_PIXELS, times=3),
    Variant("fcn8s-staged", fcn(8), LABELS_OF_PIXELS, before=(fcn(32), fcn(16))),
)


def recipe_of(variant: Variant, seed: int, steps: int) -> Recipe:
    """The recipe of a run: the same for all variants, but for what the variant says."""
    shared = {"optimizer": "adamw", "learning_rate": 3e-3, "schedule": "poly", "batch_size": 8, "epochs": 1}
    settings = {**shared, "steps_per_epoch": steps, "weight_decay": 1e-4, "seed": seed, **variant.changes}
    if settings["schedule"] == "step":  # a tenth from two thirds on, as in DeepLab's 2000, 4000 of 6000
        settings["step_every"] = max(steps // 3, 1)
    return Recipe(name=variant.key, **settings)
