"""`DilatedFCN`: the fully convolutional head of torchvision and mmsegmentation on a dilated backbone."""

from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.models.structure.head_blocks import HeadBlocks
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of


@keras.saving.register_keras_serializable(package="kseg")
class DilatedFCN(Segmenter):
    """A few 3x3 convolutions and a 1x1 score layer on a dilated backbone: what newer libraries call FCN.

    This is not the network of the FCN paper, which has neither dilation nor normalisation and adds the scores
    of finer stages: that one is `kseg.models.FCN`. The defaults are torchvision's `fcn_resnet50`;
    mmsegmentation's `fcn_r50-d8` uses `convolutions=2, concatenate=True`.

    Args:
        backbone: a `Backbone` with `output_stride`; its deepest stage is scored.
        num_classes: number of classes.
        convolutions: number of 3x3 convolutions, at least 1.
        concatenate: whether their output is concatenated with the backbone's map and mixed by one more
            convolution.
        filters: width of each convolution.
        kernel: kernel size of the convolutions, 1 or 3.
        dropout: dropout rate before the scores, in [0, 1).
        upsampling: how the scores are resized to the image's size: "size", "corners", "cells" or "centres"
            (see `kseg.layers.ResizeLike`).
        epsilon, momentum, synchronized: of the head's normalisation, as in `keras.layers.BatchNormalization`.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        SettingsError: an argument out of its range.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Reference:
        torchvision `models/segmentation/fcn.py`; mmsegmentation `decode_heads/fcn_head.py`.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, output_stride=8, filters=4)
    >>> model = kseg.models.DilatedFCN(backbone, num_classes=19, convolutions=2, concatenate=True, filters=8)
    >>> [layer.name for layer in model.layers if layer.name.endswith("_conv")][-3:]
    ['head1_conv', 'head2_conv', 'mix_conv']
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        convolutions: int = 1,
        concatenate: bool = False,
        filters: int = 512,
        kernel: int = 3,
        dropout: float = 0.1,
        upsampling: str = "size",
        epsilon: float = 1e-5,
        momentum: float = 0.95,
        synchronized: bool = False,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        convolutions = checks.whole(convolutions, "convolutions")
        filters = checks.whole(filters, "filters")
        kernel = checks.one_of(kernel, "kernel", (1, 3))
        dropout = checks.fraction(dropout, "dropout", one=False)
        blocks = HeadBlocks(epsilon, momentum, synchronized, free_name=backbone.free_name)
        x = backbone.deepest
        for number in range(1, convolutions + 1):
            x = blocks.convolution(x, filters, f"head{number}", kernel)
        if checks.flag(concatenate, "concatenate"):
            x = layers.Concatenate(name=backbone.free_name("head"))([backbone.deepest, x])
            x = blocks.convolution(x, filters, "mix", kernel)
        x = layers.Dropout(dropout, name=backbone.free_name("dropout"))(x)
        x = layers.Conv2D(num_classes, 1, kernel_initializer="he_normal", name=backbone.free_name("score"))(x)
        logits = logits_of(x, backbone, backbone.deepest_stride, upsampling)
        super().__init__(
            backbone.input, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.convolutions, self.concatenate, self.filters = convolutions, bool(concatenate), filters
        self.kernel, self.dropout, self.upsampling, self.epsilon = kernel, dropout, upsampling, float(epsilon)
        self.momentum, self.synchronized = momentum, bool(synchronized)

    def get_config(self) -> dict[str, Any]:
        own = {
            "convolutions": self.convolutions,
            "concatenate": self.concatenate,
            "filters": self.filters,
            "kernel": self.kernel,
            "dropout": self.dropout,
            "upsampling": self.upsampling,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
        }
        return {**super().get_config(), **own}
