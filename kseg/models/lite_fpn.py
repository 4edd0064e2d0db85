"""LiteFPN: a feature pyramid for CPUs."""

import keras
from keras import layers

from kseg.backbones.construction import draws_graph
from kseg.layers import BatchNormalization, CropLike, DepthToSpace, ResizeLike
from kseg.models.structure.segmenter import Segmenter


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
        decoder: number of separable convolutions behind the last level.
        dropout: dropout rate after the pyramid, in [0, 1).
        momentum: momentum of the head's BatchNormalization (the share of the old average that is kept).
        synchronized: whether the head's BatchNormalization averages over all replicas of a distribution
            strategy.
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
        backbone,
        num_classes,
        *,
        context=256,
        levels=(("stage4", 64, 64), ("stage3", 48, 32), ("stage2", 32, 16)),
        decoder=1,
        dropout=0.1,
        momentum=0.95,
        synchronized=False,
        name=None,
        trainable=True,
        dtype=None,
    ):
        image, normalization = backbone.input, {"momentum": momentum, "synchronized": synchronized}
        x = _context(backbone.deepest, context, normalization)
        x = layers.Dropout(dropout, name="dropout")(x)
        for stage, width, lateral in levels:
            fine = _convolution(backbone.stages[stage], lateral, f"{stage}_lateral", normalization)
            x = _convolution(x, width, f"{stage}_reduced", normalization)
            x = ResizeLike(name=f"{stage}_upsampling")([x, fine])
            x = layers.Concatenate(name=f"{stage}_joined")([x, fine])
            x = _separable(x, width, f"{stage}_mixed", normalization)
        for index in range(decoder):
            x = _separable(x, width, f"decoder{index + 1}", normalization)
        stride = backbone.stride_of(stage)
        x = layers.Conv2D(num_classes * stride**2, 1, kernel_initializer="he_normal", name="score")(x)
        x = DepthToSpace(stride, name="score_upsampling", dtype="float32")(x)
        logits = CropLike(name="logits", dtype="float32")([x, image])
        super().__init__(
            image, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.context, self.levels = context, tuple(tuple(level) for level in levels)
        self.decoder, self.dropout = decoder, dropout
        self.momentum, self.synchronized = momentum, bool(synchronized)

    def get_config(self):
        own = {
            "context": self.context,
            "levels": self.levels,
            "decoder": self.decoder,
            "dropout": self.dropout,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
        }
        return {**super().get_config(), **own}


def _context(x, filters, normalization):
    """DeepLab's pyramid without atrous branches: a 1x1 convolution beside the average of the whole map."""
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="image_pool")(x)
    pooled = _convolution(pooled, filters, "image_level", normalization)
    fine = _convolution(x, filters, "aspp_1x1", normalization)
    pooled = ResizeLike(name="image_level_enlarged")([pooled, x])
    x = layers.Concatenate(name="aspp")([fine, pooled])
    return _convolution(x, filters, "projection", normalization)


def _convolution(x, filters, name, normalization):
    """1x1 convolution, normalisation, ReLU."""
    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv")(x)
    return _activated(x, name, normalization)


def _separable(x, filters, name, normalization):
    """Depthwise 3x3 and pointwise convolution, each with normalisation and ReLU."""
    spread = keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")
    x = layers.DepthwiseConv2D(
        3, padding="same", use_bias=False, depthwise_initializer=spread, name=f"{name}_dwconv"
    )(x)
    return _convolution(_activated(x, f"{name}_dwconv", normalization), filters, name, normalization)


def _activated(x, name, normalization):
    x = BatchNormalization(epsilon=1e-3, name=f"{name}_bn", **normalization)(x)
    return layers.ReLU(name=f"{name}_relu")(x)
