"""DeepLab v2 (Chen, Papandreou, Kokkinos, Murphy and Yuille)."""

from collections.abc import Sequence
from typing import Any

import keras

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.construction import draws_graph
from kseg.backbones.surgery.decimation import decimate
from kseg.backbones.vgg import VGG16
from kseg.layers import AtrousSpatialPyramidPooling
from kseg.models.structure.segmenter import Segmenter
from kseg.models.structure.upsampling import logits_of

ASPP_S = (2, 4, 8, 12)
ASPP_L = (6, 12, 18, 24)


@keras.saving.register_keras_serializable(package="kseg")
class DeepLabV2(Segmenter):
    """DeepLab v2: atrous spatial pyramid pooling on a dilated backbone; the scores of all branches are summed.

    Args:
        backbone: a `Backbone` with `output_stride` 8, such as `ResNet(101, output_stride=8)` or
            `DeepLabVGG16(filters=None, average=False)`; its deepest stage feeds the branches.
        num_classes: number of classes.
        rates: atrous rates, one branch each; (6, 12, 18, 24) is ASPP-L, (2, 4, 8, 12) is ASPP-S.
        hidden: width of each branch's own fc6 and fc7 (1024 on VGG16). None makes each branch a single 3x3
            convolution (ResNet-101).
        dropout: dropout rate after fc6 and after fc7, in [0, 1).
        align_corners: as in `DeepLabV1`.
        upsampling: how the scores are resized to the image's size: "size", "corners", "cells" or "centres"
            (see `kseg.layers.ResizeLike`). None means "cells", or "centres" without `align_corners`.
        name, trainable, dtype: as in Keras; `dtype` is a policy such as "mixed_float16".

    Input shape:
        `(batch, height, width, 3)`, RGB 0-255.

    Output shape:
        `(batch, height, width, num_classes)`, float32 logits.

    Reference:
        Chen et al., "DeepLab: semantic image segmentation with deep convolutional nets, atrous convolution,
        and fully connected CRFs", TPAMI 2017, section 3.

    Example:

    >>> backbone = kseg.backbones.ResNet(50, output_stride=8, filters=4)
    >>> kseg.models.DeepLabV2(backbone, num_classes=3, rates=(6, 12)).output_shape
    (None, None, None, 3)
    """

    @draws_graph
    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        rates: Sequence[int] = ASPP_L,
        hidden: int | None = None,
        dropout: float = 0.5,
        align_corners: bool = True,
        upsampling: str | None = None,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
    ) -> None:
        way = upsampling or ("cells" if checks.flag(align_corners, "align_corners") else "centres")
        image = backbone.input
        aspp = AtrousSpatialPyramidPooling(
            num_classes, rates, hidden, dropout, name=backbone.free_name("aspp")
        )
        logits = logits_of(aspp(backbone.deepest), backbone, backbone.deepest_stride, way)
        super().__init__(
            image, logits, backbone=backbone, num_classes=num_classes, name=name, trainable=trainable
        )
        self.rates, self.hidden, self.dropout = aspp.rates, hidden, dropout
        self.align_corners, self.upsampling = bool(align_corners), upsampling

    def get_config(self) -> dict[str, Any]:
        own = {
            "rates": self.rates,
            "hidden": self.hidden,
            "dropout": self.dropout,
            "align_corners": self.align_corners,
            "upsampling": self.upsampling,
        }
        return {**super().get_config(), **own}


def start_branches_from(model: DeepLabV2, vgg16: VGG16) -> None:
    """Start fc6 and fc7 of every branch from a classifier's, as the released VGG16 network does.

    Args:
        model: a `DeepLabV2` with `hidden` branches.
        vgg16: a `kseg.backbones.VGG16` with fc6 and fc7; they are decimated to the branches' shapes.
    """
    for branch in model.get_layer("aspp").branches:
        for layer in branch:
            source = layer.name.rsplit("_", 1)[0]
            if source in ("fc6", "fc7"):
                kernel, bias = vgg16.get_layer(source).get_weights()
                layer.set_weights(decimate(kernel, bias, layer.kernel.shape))
