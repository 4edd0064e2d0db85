"""Key map of timm's ResNets with a deep stem, as backbones; those with the plain stem have torchvision's keys."""

from __future__ import annotations

from kseg.weights.layouts.torchvision import backbone, backbone_moves, refuse_by_name
from kseg.weights.source import Source, is_counter

RESNET = Source(
    name="timm/resnet",
    recognises=lambda arrays: {"layer1.0.conv1.weight", "conv1.0.weight"} <= arrays.keys(),
    build=backbone,
    moves=backbone_moves,
    output_strides=(32, 16, 8),
    left_out=lambda key: is_counter(key) or key.startswith("fc."),
    note="an ImageNet backbone, RGB with ImageNet's mean and standard deviation, without anti-aliasing (resnetaa and "
    "resnetblur have the same keys and are other networks)",
    by_name=refuse_by_name,
    licence="Apache-2.0 for the code; that of weights is on their page",
    page="https://huggingface.co/timm",
)
SOURCES = (RESNET,)
