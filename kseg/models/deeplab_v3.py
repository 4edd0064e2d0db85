"""DeepLabv3 (Chen, Papandreou, Schroff and Adam)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.layers import Conv2D
from kseg.models.structure.head_blocks import HeadBlocks
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of

RATES = (12, 24, 36)  # at output stride 8; half of that at 16


@keras.saving.register_keras_serializable(package="kseg")
class DeepLabV3(Segmenter):
    """DeepLabv3: atrous spatial pyramid pooling with an image-level branch on a dilated backbone, no decoder.

    The deepest stage goes through a 1x1 convolution, 3x3 atrous convolutions and a global average, each of
    `filters` channels; they are concatenated and projected back to `filters`. The defaults are torchvision's
    `deeplabv3_resnet50` on `ResNet(50, output_stride=8, first_rate="previous", **kseg.backbones.TORCH)`;
    mmsegmentation's `deeplabv3_r50-d8` has `filters=512, projection=3, head=False, dropout=0.1`.

    Args:
        backbone: a `Backbone` with `output_stride`; its deepest stage feeds the head.
        num_classes: number of classes.
        rates: atrous rates, one branch each; (12, 24, 36) at output stride 8, (6, 12, 18) at 16. () leaves
            the 1x1 convolution and the image level only, as the paper's authors do on MobileNetV2.
        image_level: whether the map's global average is a branch too; False leaves it out, as in the paper's
            ablation.
        filters: width of each branch and of the projection.
        projection: kernel size of the projection, 1 or 3.
        head: whether one more 3x3 convolution stands before the scores.
        dropout: dropout rate after the projection, in [0, 1).
        upsampling: how the scores are resized to the image's size: "size", "corners", "cells" or "centres"
            (see `kseg.layers.ResizeLike`).
        epsilon, momentum, synchronized: of the head's normalisation, as in `keras.layers.BatchNormalization`.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        SettingsError: an argument out of its range.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits. In training the image-level branch normalises
        over the batch alone: use batches of several images.

    Reference:
        Chen et al., "Rethinking atrous convolution for semantic image segmentation", 2017, section 3.3;
        torchvision `models/segmentation/deeplabv3.py`; mmsegmentation `decode_heads/aspp_head.py`.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, output_stride=8, filters=4)
    >>> kseg.models.DeepLabV3(backbone, num_classes=21, filters=8).output_shape
    (None, None, None, 21)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        rates: Sequence[int] = RATES,
        image_level: bool = True,
        filters: int = 256,
        projection: int = 1,
        head: bool = True,
        dropout: float = 0.5,
        upsampling: str = "size",
        epsilon: float = 1e-5,
        momentum: float = 0.95,
        synchronized: bool = False,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        rates = () if not rates else checks.wholes(rates, "rates")
        image_level = checks.flag(image_level, "image_level")
        filters = checks.whole(filters, "filters")
        projection = checks.one_of(projection, "projection", (1, 3))
        dropout = checks.fraction(dropout, "dropout", one=False)
        blocks = HeadBlocks(epsilon, momentum, synchronized, free_name=backbone.free_name)
        x = blocks.pyramid(backbone.deepest, filters, rates, projection=projection, image_level=image_level)
        x = layers.Dropout(dropout, name=backbone.free_name("dropout"))(x)
        if checks.flag(head, "head"):
            x = blocks.convolution(x, filters, "head", 3)
        x = Conv2D(num_classes, 1, kernel_initializer="he_normal", name=backbone.free_name("score"))(x)
        logits = logits_of(x, backbone, backbone.deepest_stride, upsampling)
        super().__init__(
            backbone.input, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.rates, self.image_level, self.filters = rates, image_level, filters
        self.projection, self.head = projection, bool(head)
        self.dropout, self.upsampling, self.epsilon = dropout, upsampling, float(epsilon)
        self.momentum, self.synchronized = momentum, bool(synchronized)

    def get_config(self) -> dict[str, Any]:
        own = {
            "rates": self.rates,
            "image_level": self.image_level,
            "filters": self.filters,
            "projection": self.projection,
            "head": self.head,
            "dropout": self.dropout,
            "upsampling": self.upsampling,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
        }
        return {**super().get_config(), **own}
