"""DeepLabv3+ (Chen, Zhu, Papandreou, Schroff and Adam)."""

import keras
from keras import layers

from kseg.backbones.construction import draws_graph
from kseg.layers import BatchNormalization, ResizeLike
from kseg.models.segmenter import Segmenter

RATES = (6, 12, 18)  # at output stride 16; twice that at 8


@keras.saving.register_keras_serializable(package="kseg")
class DeepLabV3Plus(Segmenter):
    """DeepLabv3+: atrous spatial pyramid pooling with an image-level branch, and a decoder that sees fine stages.

    The backbone's deepest stage goes through a 1x1 convolution, atrous separable 3x3 convolutions and a global
    average, each of `filters` channels; they are concatenated and projected back to `filters`. The decoder
    enlarges that to the low-level stage, reduced to `low_level_filters`, and mixes both in two separable 3x3
    convolutions. The class scores are enlarged bilinearly to the image.

    Args:
        backbone: a `Backbone` such as `EfficientNetLite(output_stride=16)`.
        num_classes: number of classes.
        rates: of the atrous branches, one each; (6, 12, 18) at output stride 16, (12, 24, 36) at 8; () leaves
            the 1x1 convolution and the image level, as the paper's authors do on MobileNetV2.
        filters: width of each branch, of the projection and of the decoder.
        low_level: the backbone's stage that the decoder sees, at stride 4 in the paper.
        low_level_filters: width that this stage is reduced to.
        dropout: rate after the projection.
        momentum: of the head's BatchNormalization (the share of the old average that is kept; the release has
            0.9997 for very long schedules).
        synchronized: the head's BatchNormalization averages over all replicas of a distribution strategy.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input: `(batch, height, width, 3)`, RGB 0-255. Output: float32 logits `(batch, height, width,
    num_classes)`. Cells are spread evenly over the image (pixel centres, no aligned corners). In training the
    image level normalises over the batch alone: use batches of several pictures.

    Source: Chen et al., "Encoder-decoder with atrous separable convolution for semantic image segmentation",
    ECCV 2018, sections 3.1 and 4.1; released code tensorflow/models research/deeplab (a separable convolution
    is depthwise, normalisation, ReLU, pointwise, normalisation, ReLU).
    """

    @draws_graph
    def __init__(
        self,
        backbone,
        num_classes,
        *,
        rates=RATES,
        filters=256,
        low_level="stage2",
        low_level_filters=48,
        dropout=0.1,
        momentum=0.95,
        synchronized=False,
        name=None,
        trainable=True,
        dtype=None,
    ):
        image, low = backbone.input, backbone.stages[low_level]
        normalization = {"momentum": momentum, "synchronized": synchronized}
        x = _pyramid(backbone.deepest, filters, rates, normalization)
        x = layers.Dropout(dropout, name="dropout")(x)
        low = convolution(low, low_level_filters, "low_level", normalization)
        x = layers.Concatenate(name="decoder")([ResizeLike(name="enlarge")([x, low]), low])
        for mix in ("decoder1", "decoder2"):
            x = separable(x, filters, 1, mix, normalization)
        x = layers.Conv2D(num_classes, 1, kernel_initializer="he_normal", name="score")(x)
        stride = backbone.stride_of(low_level)
        logits = ResizeLike(factor=stride, name="logits", dtype="float32")([x, image])
        super().__init__(
            image, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.rates, self.filters, self.dropout = tuple(rates), filters, dropout
        self.low_level, self.low_level_filters = low_level, low_level_filters
        self.momentum, self.synchronized = momentum, bool(synchronized)

    def get_config(self):
        own = {
            "rates": self.rates,
            "filters": self.filters,
            "low_level": self.low_level,
            "low_level_filters": self.low_level_filters,
            "dropout": self.dropout,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
        }
        return {**super().get_config(), **own}


def _pyramid(x, filters, rates, normalization):
    """The branches side by side, projected to `filters`."""
    branches = [convolution(x, filters, "aspp_1x1", normalization)]
    branches += [separable(x, filters, rate, f"aspp_{rate}", normalization) for rate in rates]
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="image_pool")(x)
    pooled = convolution(pooled, filters, "image_level", normalization)
    # One value spread over the map; a resize from 1x1 is what the release does, and a LiteRT builtin.
    branches.append(ResizeLike(name="image_level_enlarged")([pooled, x]))
    return convolution(layers.Concatenate(name="aspp")(branches), filters, "projection", normalization)


def convolution(x, filters, name, normalization):
    """1x1 convolution, normalisation, ReLU."""
    x = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv")(x)
    return _activated(x, name, normalization)


def separable(x, filters, rate, name, normalization):
    """Depthwise 3x3 convolution at a rate and pointwise convolution, each with normalisation and ReLU."""
    x = layers.DepthwiseConv2D(
        3,
        padding="same",
        dilation_rate=rate,
        use_bias=False,
        depthwise_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=f"{name}_dwconv",
    )(x)
    return convolution(_activated(x, f"{name}_dwconv", normalization), filters, name, normalization)


def _activated(x, name, normalization):
    x = BatchNormalization(epsilon=1e-3, name=f"{name}_bn", **normalization)(x)
    return layers.ReLU(name=f"{name}_relu")(x)
