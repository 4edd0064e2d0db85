"""The catalog: a name for each network that kseg can build.

Each entry is a function of the number of classes and of the backbone's weights. The dict at the end is the whole
of it; a new model adds a function, or a line.
"""

import difflib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras

from kseg import checks
from kseg.backbones import VGG16, DeepLabVGG16, EfficientNetLite, ResNet, VGG16BatchNorm
from kseg.backbones.construction import graph_settings
from kseg.backbones.encoders import DEFAULT
from kseg.errors import ModelError, SettingsError
from kseg.models.deconvnet import DeconvNet
from kseg.models.deeplab_v1 import DeepLabV1
from kseg.models.deeplab_v2 import ASPP_L, ASPP_S, DeepLabV2, start_branches_from
from kseg.models.deeplab_v3plus import DeepLabV3Plus
from kseg.models.fcn import FCN
from kseg.models.loading.other_channels import with_channels
from kseg.models.lraspp import LRASPP
from kseg.models.pspnet import PSPNet
from kseg.models.structure.heads import HEADS, on_encoder
from kseg.models.structure.segmenter import Segmenter

Weights = str | Path | None  # of a backbone: "imagenet", a file, or None (random)

AT_ONCE = (0.01, 0.0001)
DEEPLAB_MEAN = (122.675, 116.669, 104.008)  # the released DeepLab v1's and v2's
FCN_MEAN = (122.67891434, 116.66876762, 104.00698793)  # the released FCN's and DeconvNet's, red, green, blue
SMALL_WIDTHS = (16, 32, 64, 128, 128)  # a quarter of VGG16's
# The backbone whose ImageNet weights come with kseg, padded so that a cell stands over the same pixels at every size.
lite0 = partial(EfficientNetLite, "lite0", padding="image", name="efficientnetlite0")


def fcn_vgg16(
    num_classes: int, weights: Weights = None, *, stride: int, skip_scales: tuple[float, float] = (1.0, 1.0)
) -> FCN:
    """Shelhamer, Long and Darrell's FCN on VGG16: image padded by 100, crop offsets of the release."""
    backbone = VGG16(padding="original", mean=FCN_MEAN, weights=weights, name="vgg16")
    return FCN(backbone, num_classes, stride=stride, skip_scales=skip_scales)


def fcn_efficientnetlite0(num_classes: int, weights: Weights = "imagenet", *, stride: int) -> FCN:
    """FCN on EfficientNet-Lite0, whose ImageNet weights come with kseg: trains on a laptop."""
    return FCN(lite0(weights=weights), num_classes, stride=stride)


def deconvnet_vgg16(num_classes: int, weights: Weights = None) -> DeconvNet:
    """Noh, Hong and Han's DeconvNet on VGG16 with batch normalisation, made for 224x224 pixels."""
    return DeconvNet(VGG16BatchNorm(mean=FCN_MEAN, weights=weights, name="vgg16_bn"), num_classes)


def deconvnet_small(num_classes: int, weights: Weights = None) -> DeconvNet:
    """DeconvNet with a quarter of the channels and a bottleneck of 256: trains on a laptop, from random weights."""
    backbone = VGG16BatchNorm(
        widths=SMALL_WIDTHS, filters=256, fc6_padding="same", weights=weights, name="vgg16_bn_small"
    )
    return DeconvNet(backbone, num_classes, kernel_std=None)


def deconvnet_efficientnetlite0(
    num_classes: int, weights: Weights = "imagenet", *, depths: tuple[int, ...]
) -> DeconvNet:
    """DeconvNet on EfficientNet-Lite0, whose ImageNet weights come with kseg, unpooled to stride 2."""
    return DeconvNet(lite0(weights=weights), num_classes, depths=depths, kernel_std=None)


def deeplabv1_vgg16(
    num_classes: int, weights: Weights = None, *, multi_scale: bool = False, **fields: Any
) -> DeepLabV1:
    """DeepLab v1 of Chen et al. on VGG16: fc6 with holes at output stride 8."""
    backbone = DeepLabVGG16(weights=weights, name="vgg16", **fields)
    return DeepLabV1(backbone, num_classes, multi_scale=multi_scale)


def deeplabv2_vgg16(num_classes: int, weights: Weights = None, *, rates: tuple[int, ...]) -> DeepLabV2:
    """DeepLab v2 of Chen et al. on VGG16: four branches of fc6, fc7 and fc8, summed (ASPP)."""
    backbone = DeepLabVGG16(filters=None, average=False, weights=weights, name="vgg16")
    model = DeepLabV2(backbone, num_classes, rates=rates, hidden=1024)
    if weights == "imagenet":
        start_branches_from(model, VGG16(weights=weights))
    return model


def deeplabv2_resnet101(num_classes: int, weights: Weights = None) -> DeepLabV2:
    """DeepLab v2 (ASPP-L) of Chen et al. on ResNet-101, batch normalisation frozen if pretrained."""
    settings = {"mean": DEEPLAB_MEAN, "frozen_normalization": weights is not None, "weights": weights}
    backbone = ResNet(101, output_stride=8, name="resnet101", **settings)
    return DeepLabV2(backbone, num_classes)


def lite0_of_stride_8(weights: Weights) -> EfficientNetLite:
    """The first four stages of EfficientNet-Lite0, dilated to output stride 8; its ImageNet weights come with kseg.

    The fifth stage, sixteen times as large at this stride, would cost more than the rest.
    """
    return lite0(output_stride=8, last_stage="stage4", weights=weights)


def deeplabv2_efficientnetlite0(
    num_classes: int, weights: Weights = "imagenet", *, rates: tuple[int, ...]
) -> DeepLabV2:
    """DeepLab v2 (ASPP) on the first four stages of EfficientNet-Lite0 at output stride 8."""
    return DeepLabV2(lite0_of_stride_8(weights), num_classes, rates=rates, align_corners=False)


def pspnet_resnet(num_classes: int, weights: Weights = None, *, depth: int) -> PSPNet:
    """PSPNet of Zhao et al. on ResNet with the deep stem at output stride 8."""
    backbone = ResNet(depth, stem="deep", output_stride=8, weights=weights, name=f"resnet{depth}")
    return PSPNet(backbone, num_classes)


def pspnet_efficientnetlite0(num_classes: int, weights: Weights = "imagenet", *, filters: int) -> PSPNet:
    """PSPNet with a narrow head on the first four stages of EfficientNet-Lite0 at output stride 8."""
    return PSPNet(lite0_of_stride_8(weights), num_classes, filters=filters, align_corners=False)


def deeplabv3plus_efficientnetlite0(
    num_classes: int, weights: Weights = "imagenet", *, output_stride: int, filters: int
) -> DeepLabV3Plus:
    """DeepLabv3+ on EfficientNet-Lite0, whose ImageNet weights come with kseg, with a narrow head."""
    backbone = lite0(output_stride=output_stride, weights=weights)
    return DeepLabV3Plus(backbone, num_classes, filters=filters)


def deeplabv3plus_stride8(num_classes: int, weights: Weights = "imagenet", **head: Any) -> DeepLabV3Plus:
    """DeepLabv3+ on the first four stages of EfficientNet-Lite0 at output stride 8: for thin things, such as poles."""
    return DeepLabV3Plus(lite0_of_stride_8(weights), num_classes, **head)


def deeplabv3plus_fast(
    num_classes: int, weights: Weights = "imagenet", *, image_scale: float, **head: Any
) -> DeepLabV3Plus:
    """DeepLabv3+ on EfficientNet-Lite0 ended at stride 16 that sees the image reduced: for webcams."""
    backbone = lite0(last_stage="stage4", weights=weights, image_scale=image_scale)
    return DeepLabV3Plus(backbone, num_classes, rates=(), **head)


def lraspp_efficientnetlite0(
    num_classes: int, weights: Weights = "imagenet", *, output_stride: int
) -> LRASPP:
    """LR-ASPP, MobileNetV3's head, on EfficientNet-Lite0, whose ImageNet weights come with kseg."""
    return LRASPP(lite0(output_stride=output_stride, weights=weights), num_classes)


CATALOG = {
    "fcn32s_vgg16": partial(fcn_vgg16, stride=32),
    "fcn16s_vgg16": partial(fcn_vgg16, stride=16),
    "fcn8s_vgg16": partial(fcn_vgg16, stride=8),
    "fcn8s_atonce_vgg16": partial(fcn_vgg16, stride=8, skip_scales=AT_ONCE),
    "fcn32s_efficientnetlite0": partial(fcn_efficientnetlite0, stride=32),
    "fcn16s_efficientnetlite0": partial(fcn_efficientnetlite0, stride=16),
    "fcn8s_efficientnetlite0": partial(fcn_efficientnetlite0, stride=8),
    "deconvnet_vgg16": partial(deconvnet_vgg16),
    "deconvnet_small": partial(deconvnet_small),
    "deconvnet_efficientnetlite0": partial(deconvnet_efficientnetlite0, depths=(2, 2, 2, 3)),
    "deeplabv1_vgg16": partial(deeplabv1_vgg16),
    "deeplabv1_vgg16_4x4": partial(deeplabv1_vgg16, kernel=4, rate=8, filters=4096, average=False),
    "deeplabv1_vgg16_7x7": partial(deeplabv1_vgg16, kernel=7, rate=4, filters=4096, average=False),
    "deeplabv1_vgg16_msc": partial(deeplabv1_vgg16, multi_scale=True),
    "deeplabv2_vgg16": partial(deeplabv2_vgg16, rates=ASPP_L),
    "deeplabv2_vgg16_aspp_s": partial(deeplabv2_vgg16, rates=ASPP_S),
    "deeplabv2_resnet101": partial(deeplabv2_resnet101),
    "deeplabv2_efficientnetlite0": partial(deeplabv2_efficientnetlite0, rates=ASPP_S),
    "pspnet_resnet50": partial(pspnet_resnet, depth=50),
    "pspnet_resnet101": partial(pspnet_resnet, depth=101),
    "pspnet_resnet152": partial(pspnet_resnet, depth=152),
    "pspnet_resnet269": partial(pspnet_resnet, depth=269),
    "pspnet_efficientnetlite0": partial(pspnet_efficientnetlite0, filters=64),
    "deeplabv3plus_efficientnetlite0": partial(
        deeplabv3plus_efficientnetlite0, output_stride=16, filters=128
    ),
    "deeplabv3plus_efficientnetlite0_stride8": partial(
        deeplabv3plus_stride8, rates=ASPP_S, filters=96, low_level_filters=32
    ),
    "deeplabv3plus_efficientnetlite0_fast": partial(
        deeplabv3plus_fast, filters=32, low_level_filters=16, image_scale=0.75
    ),
    "lraspp_efficientnetlite0": partial(lraspp_efficientnetlite0, output_stride=16),
}


def names() -> tuple[str, ...]:
    """List the names of whole networks that `build` knows; `HEADS` go on any encoder.

    Returns:
        A tuple of names, in the catalog's order.

    Example:

    >>> kseg.models.names()[:2]
    ('fcn32s_vgg16', 'fcn16s_vgg16')
    """
    return tuple(CATALOG)


def describe(name: str) -> str:
    """Describe a catalog entry in one line.

    Args:
        name: one of `names()`.

    Returns:
        A string: the first line of its function's docstring, and the settings that set it apart.

    Raises:
        ModelError: unknown name (close names are suggested).

    Example:

    >>> kseg.models.describe("pspnet_resnet50")
    'PSPNet of Zhao et al. on ResNet with the deep stem at output stride 8. (depth 50)'
    """
    function = _entry(name)
    settings = ", ".join(f"{key} {value}" for key, value in function.keywords.items())
    first = function.func.__doc__.strip().splitlines()[0]
    return f"{first} ({settings})".replace("_", " ") if settings else first


def build(
    name: str,
    num_classes: int,
    *,
    encoder: str | keras.Model | None = None,
    weights: Weights = "packaged",
    dtype: str | None = None,
    channels: int = 3,
    value_range: tuple[float, float] = (0, 255),
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    first_convolution: str = "repeat",
    multilabel: bool = False,
) -> Segmenter:
    """Build a network of the catalog, or a head on any encoder.

    Args:
        name: one of `names()`, a whole network; or a head, one of "unet", "fpn", "fcn32s", "fcn16s", "fcn8s",
            "dilated_fcn", "deeplabv1", "deeplabv2", "deeplabv3", "deeplabv3plus", "pspnet", "lraspp".
        num_classes: number of classes; 1 is one sigmoid channel.
        encoder: of a head: a name such as "mobilenet_v3_small" (`kseg.models.encoder_names()`: all of
            keras.applications, and EfficientNet-Lite), a Keras classifier that takes 0-255, or a `Backbone`. None is
            "efficientnetlite0", whose ImageNet weights come with kseg.
        weights: the backbone's: "packaged" (those that come with kseg, else random), "imagenet" (a verified
            download where kseg does not carry them), None (random) or a local weights file.
        dtype: Keras dtype policy such as "mixed_float16"; None takes the current one. Logits stay float32.
        channels, value_range, mean, std, first_convolution: of the images; see `kseg.backbones.ChannelBackbone`.
        multilabel: a pixel may belong to several classes, or to none: a sigmoid a class.

    Returns:
        A `Segmenter`, a Keras model.

    Raises:
        ModelError: unknown name (close names are suggested), or weights that cannot be had.

    Example:

    >>> model = kseg.models.build("fcn8s_efficientnetlite0", num_classes=3, weights=None)
    >>> model.output_shape
    (None, None, None, 3)
    """
    num_classes = checks.whole(num_classes, "num_classes")
    if encoder is not None and name in CATALOG:
        raise SettingsError(f"{name} has its encoder; `encoder` goes with {', '.join(HEADS)}.")
    with graph_settings(dtype):
        if name in HEADS:
            model = on_encoder(name, num_classes, encoder or DEFAULT, weights)
            name = f"{name}_{model.backbone.name}"
        else:
            model = _entry(name)(num_classes, *([] if weights == "packaged" else [weights]))
        if (channels, tuple(value_range), mean, std) != (3, (0, 255), None, None):
            settings = {"mean": mean, "std": std, "first_convolution": first_convolution}
            model = with_channels(model, channels, value_range=value_range, **settings)
    model.name, model.multilabel = name, multilabel
    return model


def _entry(name: str) -> partial[Segmenter]:
    if name not in CATALOG:
        close = difflib.get_close_matches(str(name), (*CATALOG, *HEADS), n=3)
        hint = (
            f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join((*CATALOG, *HEADS))}"
        )
        raise ModelError(f"there is no model named {name!r}: {hint}")
    return CATALOG[name]
