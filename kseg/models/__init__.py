"""Segmentation networks, one paper a file, and the catalog of their names."""

from kseg.models.catalog import build, describe, names
from kseg.models.deconvnet import DeconvNet
from kseg.models.deeplab_v1 import DeepLabV1
from kseg.models.deeplab_v2 import DeepLabV2
from kseg.models.fcn import FCN
from kseg.models.load import load
from kseg.models.pspnet import PSPNet, with_auxiliary_head
from kseg.models.segmenter import Segmenter

__all__ = [
    "FCN",
    "DeconvNet",
    "DeepLabV1",
    "DeepLabV2",
    "PSPNet",
    "Segmenter",
    "build",
    "describe",
    "load",
    "names",
    "with_auxiliary_head",
]
