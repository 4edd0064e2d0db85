"""U-Net (Ronneberger, Fischer and Brox) on any backbone."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.errors import ModelError
from kseg.layers import ResizeLike
from kseg.models.structure.head_blocks import HeadBlocks
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of

FILTERS = (256, 128, 64, 32, 16)  # of a backbone of stride 32, from deep to shallow


@keras.saving.register_keras_serializable(package="kseg")
class UNet(Segmenter):
    """U-Net: a decoder that doubles the map's size block by block, and sees the backbone's stage of each size.

    A block upsamples to nearest neighbours, concatenates the stage, and has two 3x3 convolutions, each with batch
    normalisation and ReLU. Blocks go on until the map has the image's size; the last has no stage beside it, nor has
    one at whose stride the backbone has none (ConvNeXt at 2). A 3x3 convolution gives the class scores. The paper's
    network has neither padding nor normalisation and an encoder of its own; this is the form of today, layer by layer
    that of segmentation_models.pytorch.

    Args:
        backbone: a `Backbone`; any but one that pads the image by 100 pixels (`VGG16(padding="original")`).
        num_classes: number of classes; 1 is one sigmoid channel.
        filters: width of each block, from deep to shallow. A backbone of stride 32 needs five, one of stride 16 four:
            where more are given, the last ones count.
        convolutions: in each block.
        score_kernel: of the convolution that scores, 3 or 1.
        epsilon: of the decoder's BatchNormalization.
        momentum: of the decoder's BatchNormalization (the share of the old average that is kept).
        synchronized: the decoder's BatchNormalization averages over all replicas of a distribution strategy.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, channels)`, RGB 0-255 unless the backbone was made for others.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Raises:
        SettingsError: an argument out of its range.
        ModelError: fewer filters than the decoder has blocks, or a backbone that pads the image by 100 pixels.

    Reference:
        Ronneberger, Fischer and Brox, "U-Net: convolutional networks for biomedical image segmentation", MICCAI
        2015; segmentation_models.pytorch `decoders/unet`.

    Example:

    >>> backbone = kseg.backbones.EfficientNetLite("lite0", weights=None, padding="image")
    >>> kseg.models.UNet(backbone, num_classes=2).output_shape
    (None, None, None, 2)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        filters: Sequence[int] = FILTERS,
        convolutions: int = 2,
        score_kernel: int = 3,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        synchronized: bool = False,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        filters, own = checks.wholes(filters, "filters"), backbone.free_name
        convolutions = checks.whole(convolutions, "convolutions")
        score_kernel = checks.one_of(score_kernel, "score_kernel", (1, 3))
        blocks = HeadBlocks(epsilon, momentum, synchronized, free_name=own)
        skips = _skips(backbone, len(filters))
        factor = 2 if backbone.aligned else None
        x = backbone.deepest
        for number, skip in enumerate(skips, 1):
            width = filters[number - len(skips) - 1]
            if skip is None:
                x = layers.UpSampling2D(2, interpolation="nearest", name=own(f"up{number}"))(x)
            else:
                x = ResizeLike("nearest", factor=factor, name=own(f"up{number}"))([x, skip])
                x = layers.Concatenate(name=own(f"join{number}"))([x, skip])
            for convolution in range(1, convolutions + 1):
                x = blocks.convolution(x, width, f"decoder{number}_{convolution}", 3)
        x = layers.Conv2D(
            num_classes, score_kernel, padding="same", kernel_initializer="he_normal", name=own("score")
        )(x)
        logits = logits_of(x, backbone, 1 / backbone.image_scale, "centres" if backbone.aligned else "size")
        super().__init__(
            backbone.input, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.filters, self.convolutions, self.score_kernel = filters, convolutions, score_kernel
        self.epsilon, self.momentum, self.synchronized = float(epsilon), momentum, bool(synchronized)

    def get_config(self) -> dict[str, Any]:
        own = {
            "filters": self.filters,
            "convolutions": self.convolutions,
            "score_kernel": self.score_kernel,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
            "synchronized": self.synchronized,
        }
        return {**super().get_config(), **own}


def _skips(backbone: Backbone, most: int) -> list[keras.KerasTensor | None]:
    """The stage that each block sees, from deep to shallow; None where the backbone has none of that stride."""
    if backbone.padding == "original":
        raise ModelError(
            f"{backbone.name} pads the image by 100 pixels, and a U-Net needs maps that cover the image: give "
            'padding="same".'
        )
    of_stride = {}
    for stage, tensor in backbone.stages.items():  # of dilated stages, which share a stride, the shallowest
        of_stride.setdefault(round(backbone.stride_of(stage) * backbone.image_scale), tensor)
    stride, skips = round(backbone.deepest_stride * backbone.image_scale), []
    while stride > 1:
        stride //= 2
        skips.append(of_stride.get(stride))
    if len(skips) > most:
        raise ModelError(
            f"{backbone.name} has the stride {2 ** len(skips)}: `filters` needs {len(skips)} numbers, got {most}."
        )
    return skips
