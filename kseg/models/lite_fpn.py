"""LiteFPN: a feature pyramid for CPUs."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.layers import CropLike, DepthToSpace, ResizeLike
from kseg.models.structure.head_blocks import HeadBlocks
from kseg.models.structure.segmenter import Segmenter

EPSILON = 1e-3  # of the batch normalisation


@keras.saving.register_keras_serializable(package="kseg")
class LiteFPN(Segmenter):
    """A top-down pyramid of separable convolutions whose class scores are upsampled by a sub-pixel convolution.

    DeepLab's pyramid without atrous branches (a 1x1 convolution and the image level) stands on the backbone's
    deepest stage. Each level then reduces the map to the level's width, upsamples it, concatenates it with
    the backbone's reduced stage of that stride, and mixes both by a separable 3x3 convolution. Behind the
    last level further separable convolutions may follow; a 1x1 convolution gives the scores of all pixels of
    a cell at once, and `DepthToSpace` arranges them. So nothing is computed at the image's own size, and
    edges are still drawn per pixel.

    Args:
        backbone: a `Backbone` such as `DeepLabMobileNetV2(0.5)`.
        num_classes: number of classes.
        context: width of the pyramid on the deepest stage.
        levels: (stage name, width of the level, width to which the stage is reduced), from deep to shallow.
        decoder: number of separable convolutions after the last level.
        dropout: dropout rate after the pyramid, in [0, 1).
        momentum, synchronized: of the head's normalisation, as in `keras.layers.BatchNormalization`.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255, any size.

    Output shape:
        float32 logits `(batch, height, width, num_classes)`.

    Reference:
        Lin et al., "Feature pyramid networks for object detection", CVPR 2017; Chen et al., DeepLabv3+, ECCV 2018;
        Shi et al., sub-pixel convolution, CVPR 2016. The combination is kseg's own.

    Example:

    >>> model = kseg.models.LiteFPN(kseg.backbones.DeepLabMobileNetV2(0.5), num_classes=2)
    >>> model(np.zeros((1, 256, 256, 3))).shape
    TensorShape([1, 256, 256, 2])
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        context: int = 256,
        levels: Sequence[tuple[str, int, int]] = (("stage4", 64, 64), ("stage3", 48, 32), ("stage2", 32, 16)),
        decoder: int = 1,
        dropout: float = 0.1,
        momentum: float = 0.95,
        synchronized: bool = False,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        own = backbone.free_name
        blocks = HeadBlocks(EPSILON, momentum, synchronized, free_name=own, separable=True)
        x = blocks.pyramid(backbone.deepest, context, (), projection=1)
        x = layers.Dropout(dropout, name=own("dropout"))(x)
        for stage, width, lateral in levels:
            fine = blocks.convolution(backbone.stages[stage], lateral, f"{stage}_lateral")
            x = blocks.convolution(x, width, f"{stage}_reduced")
            x = ResizeLike(name=own(f"{stage}_upsampling"))([x, fine])
            x = layers.Concatenate(name=own(f"{stage}_joined"))([x, fine])
            x = blocks.spatial(x, width, f"{stage}_mixed")
        for index in range(decoder):
            x = blocks.spatial(x, width, f"decoder{index + 1}")
        image, stride = backbone.input, backbone.stride_of(stage)
        x = layers.Conv2D(num_classes * stride**2, 1, kernel_initializer="he_normal", name=own("score"))(x)
        x = DepthToSpace(stride, name=own("score_upsampling"), dtype="float32")(x)
        logits = CropLike(name=own("logits"), dtype="float32")([x, image])
        super().__init__(
            image, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.context, self.levels = context, tuple(tuple(level) for level in levels)
        self.decoder, self.dropout = decoder, dropout
        self.momentum, self.synchronized = momentum, bool(synchronized)

    def get_config(self) -> dict[str, Any]:
        own = {
            "context": self.context,
            "levels": self.levels,
            "decoder": self.decoder,
            "dropout": self.dropout,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
        }
        return {**super().get_config(), **own}
