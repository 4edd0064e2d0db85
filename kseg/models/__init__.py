"""Segmentation networks, one paper a file, and the catalog of their names."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.backbones.encoders import encoder, encoder_names
    from kseg.backbones.saving import check_reloads
    from kseg.models.catalog import build, describe, names
    from kseg.models.deconvnet import DeconvNet
    from kseg.models.deeplab_v1 import DeepLabV1
    from kseg.models.deeplab_v2 import DeepLabV2
    from kseg.models.deeplab_v3 import DeepLabV3
    from kseg.models.deeplab_v3plus import DeepLabV3Plus
    from kseg.models.dilated_fcn import DilatedFCN
    from kseg.models.fcn import FCN
    from kseg.models.fpn import FPN
    from kseg.models.lite_fpn import LiteFPN
    from kseg.models.loading.model_file import load
    from kseg.models.loading.other_channels import with_channels
    from kseg.models.loading.other_classes import with_classes
    from kseg.models.loading.preset import from_preset, load_trained, preset_file, presets
    from kseg.models.loading.preset_folder import save_to_preset
    from kseg.models.lraspp import LRASPP
    from kseg.models.multi_scale import MultiScale
    from kseg.models.pspnet import PSPNet, with_auxiliary_head
    from kseg.models.structure.receptive_field import ReceptiveField, receptive_fields
    from kseg.models.structure.segmenter import Segmenter
    from kseg.models.unet import UNet

_HOMES = {
    "DeconvNet": "deconvnet",
    "DeepLabV1": "deeplab_v1",
    "DeepLabV2": "deeplab_v2",
    "DeepLabV3": "deeplab_v3",
    "DeepLabV3Plus": "deeplab_v3plus",
    "DilatedFCN": "dilated_fcn",
    "FCN": "fcn",
    "FPN": "fpn",
    "LRASPP": "lraspp",
    "LiteFPN": "lite_fpn",
    "MultiScale": "multi_scale",
    "PSPNet": "pspnet",
    "ReceptiveField": "structure.receptive_field",
    "Segmenter": "structure.segmenter",
    "UNet": "unet",
    "build": "catalog",
    "check_reloads": "kseg.backbones.saving",
    "describe": "catalog",
    "encoder": "kseg.backbones.encoders",
    "encoder_names": "kseg.backbones.encoders",
    "from_preset": "loading.preset",
    "load": "loading.model_file",
    "load_trained": "loading.preset",
    "names": "catalog",
    "preset_file": "loading.preset",
    "presets": "loading.preset",
    "receptive_fields": "structure.receptive_field",
    "save_to_preset": "loading.preset_folder",
    "with_auxiliary_head": "pspnet",
    "with_channels": "loading.other_channels",
    "with_classes": "loading.other_classes",
}

__all__ = [
    "FCN",
    "FPN",
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
    "UNet",
    "build",
    "check_reloads",
    "describe",
    "encoder",
    "encoder_names",
    "from_preset",
    "load",
    "load_trained",
    "names",
    "preset_file",
    "presets",
    "receptive_fields",
    "save_to_preset",
    "with_auxiliary_head",
    "with_channels",
    "with_classes",
]

__getattr__, __dir__ = on_demand(__name__, _HOMES)
