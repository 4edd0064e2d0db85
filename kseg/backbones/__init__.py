"""Encoders that name their stages, and the surgery that makes one from any Keras classifier."""

from kseg.backbones.backbone import Backbone
from kseg.backbones.efficientnet_lite import EfficientNetLite
from kseg.backbones.vgg import VGG16

__all__ = ["VGG16", "Backbone", "EfficientNetLite"]
