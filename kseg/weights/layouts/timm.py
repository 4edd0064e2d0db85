"""Key map of timm's ResNets with a deep stem, as backbones; those with the plain stem have torchvision's keys."""

from __future__ import annotations

from kseg.weights.layouts.torchvision import ResNetClassifier


class DeepStemClassifier(ResNetClassifier):
    """resnet50d, resnet50t and the like."""

    name = "timm/resnet"
    note = (
        "an ImageNet backbone, RGB, without anti-aliasing (resnetaa and "
        "resnetblur have the same keys and are other networks)"
    )
    licence = "Apache-2.0 for the code; that of weights is on their page"
    page = "https://huggingface.co/timm"
    marks = ("layer1.0.conv1.weight", "conv1.0.weight")


SOURCES = (DeepStemClassifier(),)
