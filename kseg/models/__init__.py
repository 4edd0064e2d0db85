"""Segmentation networks, one paper a file, and the catalog of their names."""

from kseg.backbones.saving import check_reloads
from kseg.models.catalog import build, describe, names
from kseg.models.deconvnet import DeconvNet
from kseg.models.deeplab_v1 import DeepLabV1
from kseg.models.deeplab_v2 import DeepLabV2
from kseg.models.deeplab_v3 import DeepLabV3
from kseg.models.deeplab_v3plus import DeepLabV3Plus
from kseg.models.dilated_fcn import DilatedFCN
from kseg.models.fcn import FCN
from kseg.models.lite_fpn import LiteFPN
from kseg.models.load import load
from kseg.models.lraspp import LRASPP
from kseg.models.multi_scale import MultiScale
from kseg.models.preset import from_preset, load_trained, preset_file, presets
from kseg.models.pspnet import PSPNet, with_auxiliary_head
from kseg.models.receptive_field import ReceptiveField, receptive_fields
from kseg.models.segmenter import Segmenter

__all__ = [
    "FCN",
    "LRASPP",
    "DeconvNet",
    "DeepLabV1",
    "DeepLabV2",
    "DeepLabV3",
    "DeepLabV3Plus",
    "DilatedFCN",
    "LiteFPN",
    "MultiScale",
    "PSPNet",
    "ReceptiveField",
    "Segmenter",
    "build",
    "check_reloads",
    "describe",
    "from_preset",
    "load",
    "load_trained",
    "names",
    "preset_file",
    "presets",
    "receptive_fields",
    "with_auxiliary_head",
]
