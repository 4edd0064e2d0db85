"""DeepLabv3+ (Chen, Zhu, Papandreou, Schroff and Adam)."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.errors import SettingsError
from kseg.layers import Conv2D, ResizeLike
from kseg.models.structure.head_blocks import HeadBlocks
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of

RATES = (6, 12, 18)  # at output stride 16; twice that at 8


@keras.saving.register_keras_serializable(package="kseg")
class DeepLabV3Plus(Segmenter):
    """DeepLabv3+: atrous spatial pyramid pooling with an image-level branch, and a decoder that reads a finer stage.

    The backbone's deepest stage goes through a 1x1 convolution, atrous separable 3x3 convolutions and a
    global average, each of `filters` channels; they are concatenated and projected back to `filters`. The
    decoder upsamples the result to the low-level stage, which is reduced to `low_level_filters`, and mixes
    both in two separable 3x3 convolutions. The class scores are upsampled bilinearly to the image.

    Args:
        backbone: a `Backbone` such as `EfficientNetLite(output_stride=16)`.
        num_classes: number of classes.
        rates: atrous rates, one branch each; (6, 12, 18) at output stride 16, (12, 24, 36) at 8. () leaves
            the 1x1 convolution and the image level only, as the paper's authors do on MobileNetV2.
        image_level: whether the map's global average is a branch too; False leaves it out.
        filters: width of each branch, of the projection and of the decoder.
        separable: True makes the atrous branches and the decoder separable convolutions, False full ones.
        normalize_depthwise: True also normalises (with ReLU) between the two parts of a separable convolution
            (the release, mmsegmentation); False does not (segmentation_models.pytorch).
        projection: kernel size of the convolution that projects the branches, 1 or 3 (mmsegmentation).
        mix: whether one more convolution like the decoder's follows the projection
            (segmentation_models.pytorch).
        low_level: name of the backbone's stage that the decoder reads, at stride 4 in the paper.
        low_level_filters: width to which that stage is reduced.
        decoder_convolutions: number of convolutions in the decoder, 2 in the paper, 1 in
            segmentation_models.pytorch.
        decoder_kernel: kernel size of the decoder's convolutions: 3, or 1 for full convolutions (KerasHub).
        dropout: dropout rate after the projection, in [0, 1).
        align_corners: whether the projection is upsampled to the low-level stage with aligned corners.
        upsampling: how the scores are resized to the image's size: "size", "corners", "cells" or "centres"
            (see `kseg.layers.ResizeLike`).
        epsilon, momentum, synchronized: of the head's normalisation, as in `keras.layers.BatchNormalization` (the
            release has a momentum of 0.9997, for very long schedules).
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Raises:
        SettingsError: an argument out of its range, or one that the others leave without effect.

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits. In training the image-level branch normalises
        over the batch alone: use batches of several images.

    Reference:
        Chen et al., "Encoder-decoder with atrous separable convolution for semantic image segmentation",
        ECCV 2018, sections 3.1 and 4.1; released code tensorflow/models research/deeplab (a separable convolution
        is depthwise, normalisation, ReLU, pointwise, normalisation, ReLU).

    Example:

    >>> backbone = kseg.backbones.ResNet(50, output_stride=16, filters=4)
    >>> kseg.models.DeepLabV3Plus(backbone, num_classes=21, filters=8).output_shape
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
        separable: bool = True,
        normalize_depthwise: bool = True,
        projection: int = 1,
        mix: bool = False,
        low_level: str = "stage2",
        low_level_filters: int = 48,
        decoder_convolutions: int = 2,
        decoder_kernel: int = 3,
        dropout: float = 0.1,
        align_corners: bool = False,
        upsampling: str = "centres",
        epsilon: float = 1e-3,
        momentum: float = 0.95,
        synchronized: bool = False,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        rates = checks.wholes(rates, "rates") if rates else ()
        low_level = checks.one_of(low_level, "low_level", tuple(backbone.stages))
        separable = checks.flag(separable, "separable")
        decoder_kernel = checks.one_of(decoder_kernel, "decoder_kernel", (3, 1))
        if separable and decoder_kernel == 1:
            raise SettingsError("`decoder_kernel=1` is for full convolutions: give separable=False.")
        settings = {
            "rates": rates,
            "image_level": checks.flag(image_level, "image_level"),
            "filters": checks.whole(filters, "filters"),
            "separable": separable,
            "normalize_depthwise": checks.flag(normalize_depthwise, "normalize_depthwise"),
            "projection": checks.one_of(projection, "projection", (1, 3)),
            "mix": checks.flag(mix, "mix"),
            "low_level": low_level,
            "low_level_filters": checks.whole(low_level_filters, "low_level_filters"),
            "decoder_convolutions": checks.whole(decoder_convolutions, "decoder_convolutions"),
            "decoder_kernel": decoder_kernel,
            "dropout": checks.fraction(dropout, "dropout", one=False),
            "align_corners": checks.flag(align_corners, "align_corners"),
            "upsampling": upsampling,
            "epsilon": float(epsilon),
            "momentum": momentum,
            "synchronized": bool(synchronized),
        }
        blocks = HeadBlocks(
            epsilon, momentum, synchronized, normalize_depthwise, backbone.free_name, separable
        )
        x = blocks.pyramid(backbone.deepest, filters, rates, projection=projection, image_level=image_level)
        x = layers.Dropout(dropout, name=backbone.free_name("dropout"))(x)
        if mix:
            x = blocks.spatial(x, filters, "mix", decoder_kernel)
        low = blocks.convolution(backbone.stages[low_level], low_level_filters, "low_level")
        x = ResizeLike(align_corners=align_corners, name=backbone.free_name("enlarge"))([x, low])
        x = layers.Concatenate(name=backbone.free_name("decoder"))([x, low])
        for number in range(1, decoder_convolutions + 1):
            x = blocks.spatial(x, filters, f"decoder{number}", decoder_kernel)
        x = Conv2D(num_classes, 1, kernel_initializer="he_normal", name=backbone.free_name("score"))(x)
        logits = logits_of(x, backbone, backbone.stride_of(low_level), upsampling)
        super().__init__(
            backbone.input, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self._settings = settings
        for key, value in settings.items():
            setattr(self, key, value)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self._settings}
