"""The semantic branch of Panoptic FPN (Kirillov, Girshick, He and Dollár) on any backbone."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.errors import SettingsError
from kseg.layers import Conv2D, ResizeLike
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of

HE = {"kernel_initializer": "he_normal"}


@keras.saving.register_keras_serializable(package="kseg")
class FPN(Segmenter):
    """Semantic FPN: a top-down pyramid whose levels are resized to the finest one's size and summed.

    A 1x1 convolution brings each stage to `pyramid_filters`; from the deepest on, each level is upsampled to nearest
    neighbours and added to the next. Every level then has one 3x3 convolution with group normalisation, ReLU and
    bilinear upsampling for each doubling up to the finest stage's size, at least one convolution. Their sum goes
    through dropout and a 1x1 convolution that scores, and is upsampled to the image.

    Args:
        backbone: a `Backbone`.
        num_classes: number of classes; 1 is one sigmoid channel.
        stages: names of the stages, shallow first; None: those from "stage2" (stride 4) on.
        pyramid_filters: width of the pyramid.
        filters: width of the levels' 3x3 convolutions.
        groups: of the group normalisation, a divisor of `filters`.
        dropout: rate at which channels of the sum are left out.
        upsampling: how the scores get the image's size: "size", "corners", "cells" or "centres" (see
            `kseg.layers.ResizeLike`).
        epsilon: of the GroupNormalization.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, channels)`, RGB 0-255 unless the backbone was made for others.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Raises:
        SettingsError: an argument out of its range, or groups that do not divide the filters.

    Reference:
        Kirillov et al., "Panoptic feature pyramid networks", CVPR 2019, section 3.1 and figure 3;
        segmentation_models.pytorch `decoders/fpn`.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, filters=4)
    >>> kseg.models.FPN(backbone, num_classes=19, pyramid_filters=8, filters=8, groups=2).output_shape
    (None, None, None, 19)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        stages: Sequence[str] | None = None,
        pyramid_filters: int = 256,
        filters: int = 128,
        groups: int = 32,
        dropout: float = 0.2,
        upsampling: str = "centres",
        epsilon: float = 1e-5,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        known = tuple(backbone.stages)
        if stages is None:
            names = known[known.index("stage2") :] if "stage2" in known else known
        elif isinstance(stages, str) or not stages:
            raise SettingsError(f"`stages` are names of stages, such as {known}; got {stages!r}.")
        else:
            given = {checks.one_of(stage, "stages", known) for stage in stages}
            names = tuple(stage for stage in known if stage in given)
        pyramid_filters = checks.whole(pyramid_filters, "pyramid_filters")
        filters = checks.whole(filters, "filters")
        if filters % checks.whole(groups, "groups"):
            raise SettingsError(f"`groups` must divide `filters`; got groups={groups} and filters={filters}.")
        epsilon, own = checks.number(epsilon, "epsilon", above=0), backbone.free_name
        dropout = checks.fraction(dropout, "dropout", one=False)
        levels = _pyramid(backbone, names, pyramid_filters)
        branches = _branches(backbone, levels, filters, groups, epsilon)
        x = layers.Add(name=own("sum"))(branches) if len(branches) > 1 else branches[0]
        x = layers.SpatialDropout2D(dropout, name=own("dropout"))(x)
        x = Conv2D(num_classes, 1, name=own("score"), **HE)(x)
        logits = logits_of(x, backbone, backbone.stride_of(names[0]), upsampling)
        super().__init__(
            backbone.input, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self._settings = {
            "stages": names,
            "pyramid_filters": pyramid_filters,
            "filters": filters,
            "groups": groups,
            "dropout": dropout,
            "upsampling": upsampling,
            "epsilon": epsilon,
        }

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings}


def _pyramid(backbone: Backbone, names: Sequence[str], filters: int) -> dict[str, keras.KerasTensor]:
    """The levels by stage, shallow first: each stage at one width, with the upsampled level of the next deeper one."""
    levels, own = {}, backbone.free_name
    deeper = None
    for stage in names[::-1]:
        x = Conv2D(filters, 1, name=own(f"{stage}_lateral"), **HE)(backbone.stages[stage])
        if deeper is not None:
            factor = backbone.stride_of(deeper) / backbone.stride_of(stage) if backbone.aligned else None
            above = ResizeLike("nearest", factor=factor, name=own(f"{stage}_topdown"))([levels[deeper], x])
            x = layers.Add(name=own(f"{stage}_pyramid"))([x, above])
        levels[stage], deeper = x, stage
    return {stage: levels[stage] for stage in names}


def _branches(
    backbone: Backbone, levels: dict[str, keras.KerasTensor], filters: int, groups: int, epsilon: float
) -> list[keras.KerasTensor]:
    """Each level at the finest one's size: a convolution for each doubling of the map, and at least one."""
    finest, *_ = levels
    branches = []
    for stage, x in levels.items():
        doublings = round(math.log2(backbone.stride_of(stage) / backbone.stride_of(finest)))
        for number in range(1, max(doublings, 1) + 1):
            part = backbone.free_name(f"{stage}_{number}")
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{part}_conv", **HE)(x)
            x = layers.GroupNormalization(groups, epsilon=epsilon, name=f"{part}_gn")(x)
            x = layers.ReLU(name=f"{part}_relu")(x)
            if number < doublings:
                x = layers.UpSampling2D(2, interpolation="bilinear", name=f"{part}_up")(x)
            elif doublings:
                factor = 2 if backbone.aligned else None
                x = ResizeLike(factor=factor, name=f"{part}_up")([x, levels[finest]])
        branches.append(x)
    return branches
