"""Encoders that name their stages, and the surgery that makes one from any Keras classifier."""

from kseg.backbones.backbone import Backbone
from kseg.backbones.deeplab_mobilenet_v2 import DeepLabMobileNetV2
from kseg.backbones.deeplab_vgg import DeepLabVGG16
from kseg.backbones.efficientnet_lite import EfficientNetLite
from kseg.backbones.mobilenet_v2 import MobileNetV2
from kseg.backbones.mobilenet_v3 import MobileNetV3
from kseg.backbones.resnet import TORCH, ResNet
from kseg.backbones.surgery.channels import ChannelBackbone
from kseg.backbones.surgery.classifier import ClassifierBackbone, convolutionalize, from_classifier
from kseg.backbones.surgery.decimation import decimate
from kseg.backbones.surgery.dilation import dilate
from kseg.backbones.vgg import VGG16
from kseg.backbones.vgg_bn import VGG16BatchNorm

__all__ = [
    "TORCH",
    "VGG16",
    "VGG16BatchNorm",
    "Backbone",
    "ChannelBackbone",
    "ClassifierBackbone",
    "DeepLabVGG16",
    "EfficientNetLite",
    "MobileNetV2",
    "MobileNetV3",
    "DeepLabMobileNetV2",
    "ResNet",
    "convolutionalize",
    "decimate",
    "dilate",
    "from_classifier",
]
