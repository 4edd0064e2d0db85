"""LR-ASPP (Howard et al., MobileNetV3)."""

from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.layers import BatchNormalization, ResizeLike
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of


@keras.saving.register_keras_serializable(package="kseg")
class LRASPP(Segmenter):
    """Lite R-ASPP: the deepest map, weighted per channel by a global average, is scored together with a finer one.

    One branch is a 1x1 convolution with normalisation and ReLU, the other is the map's global average
    followed by a 1x1 convolution and a sigmoid; their product is upsampled to the low-level stage. The class
    scores are the sum of one 1x1 convolution on each of the two, upsampled bilinearly to the image.

    The paper averages over windows of 49x49 cells at strides (16, 20) of a 64x128 map, nearly all of its
    height. Here the average is over the whole map, as in torchvision, so that it is defined for every size.

    Args:
        backbone: a `Backbone`; in the paper at output stride 16.
        num_classes: number of classes.
        filters: width of both branches.
        low_level: name of the stage that gives the finer scores, at half the deepest stage's stride in the
            paper (8).
        upsampling: how the scores are resized to the image's size: "size", "corners", "cells" or "centres"
            (see `kseg.layers.ResizeLike`).
        epsilon: epsilon of the BatchNormalization.
        momentum: momentum of the BatchNormalization (the share of the old average that is kept).
        synchronized: whether the BatchNormalization averages over all replicas of a distribution strategy.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Reference:
        Howard et al., "Searching for MobileNetV3", ICCV 2019, section 6.4 and figure 10.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, output_stride=16, filters=4)
    >>> kseg.models.LRASPP(backbone, num_classes=3, filters=8).output_shape
    (None, None, None, 3)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        filters: int = 128,
        low_level: str = "stage3",
        upsampling: str = "centres",
        epsilon: float = 1e-3,
        momentum: float = 0.95,
        synchronized: bool = False,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        low_level = checks.one_of(low_level, "low_level", tuple(backbone.stages))
        filters, epsilon = checks.whole(filters, "filters"), checks.number(epsilon, "epsilon", above=0)
        momentum = checks.fraction(momentum, "momentum")
        synchronized = checks.flag(synchronized, "synchronized")
        own, x, low = backbone.free_name, backbone.deepest, backbone.stages[low_level]

        def convolution(x, filters, name, **settings):
            return layers.Conv2D(filters, 1, kernel_initializer="he_normal", name=own(name), **settings)(x)

        average = layers.GlobalAveragePooling2D(keepdims=True, name=own("average"))(x)
        scale = convolution(average, filters, "scale", use_bias=False, activation="sigmoid")
        x = convolution(x, filters, "features", use_bias=False)
        statistics = {"epsilon": epsilon, "momentum": momentum, "synchronized": synchronized}
        x = BatchNormalization(name=own("features_bn"), **statistics)(x)
        x = layers.Multiply(name=own("scaled"))([layers.ReLU(name=own("features_relu"))(x), scale])
        # A 1x1 convolution and a bilinear resize commute: scoring first upsamples few channels, not many.
        x = ResizeLike(name=own("enlarge"))([convolution(x, num_classes, "score"), low])
        x = layers.Add(name=own("scores"))([x, convolution(low, num_classes, "low_score")])
        logits = logits_of(x, backbone, backbone.stride_of(low_level), upsampling)
        super().__init__(
            backbone.input, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.filters, self.low_level, self.upsampling, self.epsilon = filters, low_level, upsampling, epsilon
        self.momentum, self.synchronized = momentum, synchronized

    def get_config(self) -> dict[str, Any]:
        own = {
            "filters": self.filters,
            "low_level": self.low_level,
            "upsampling": self.upsampling,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
        }
        return {**super().get_config(), **own}
