"""`HEADS`: the networks that `kseg.models.build` puts on any encoder."""

from typing import Any, NamedTuple

from kseg.backbones.encoders import encoder as encoder_of
from kseg.models.deeplab_v1 import DeepLabV1
from kseg.models.deeplab_v2 import DeepLabV2
from kseg.models.deeplab_v3 import DeepLabV3
from kseg.models.deeplab_v3plus import DeepLabV3Plus
from kseg.models.dilated_fcn import DilatedFCN
from kseg.models.fcn import FCN
from kseg.models.fpn import FPN
from kseg.models.lraspp import LRASPP
from kseg.models.pspnet import PSPNet
from kseg.models.structure.segmenter import Segmenter
from kseg.models.unet import UNet


class Head(NamedTuple):
    """A network of `build` that takes any encoder: its class, its arguments, and the encoder's output stride."""

    model: type[Segmenter]
    settings: dict[str, Any]
    output_stride: int


HEADS = {
    "unet": Head(UNet, {}, 32),
    "fpn": Head(FPN, {}, 32),
    "fcn32s": Head(FCN, {"stride": 32}, 32),
    "fcn16s": Head(FCN, {"stride": 16}, 32),
    "fcn8s": Head(FCN, {"stride": 8}, 32),
    "dilated_fcn": Head(DilatedFCN, {}, 8),
    "deeplabv1": Head(DeepLabV1, {"align_corners": False}, 8),
    "deeplabv2": Head(DeepLabV2, {"align_corners": False}, 8),
    "deeplabv3": Head(DeepLabV3, {"rates": (6, 12, 18)}, 16),
    "deeplabv3plus": Head(DeepLabV3Plus, {}, 16),
    "pspnet": Head(PSPNet, {"align_corners": False}, 8),
    "lraspp": Head(LRASPP, {}, 16),
}


def on_encoder(name: str, num_classes: int, encoder: Any, weights: Any) -> Segmenter:
    """A head of `HEADS` on an encoder; see `kseg.models.build`."""
    head = HEADS[name]
    backbone = encoder_of(encoder, output_stride=head.output_stride, weights=weights)
    return head.model(backbone, num_classes, **head.settings)
