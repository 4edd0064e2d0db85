"""mmsegmentation's own configs, as its documentation prints them."""

import pytest

from kseg.errors import ModelError
from kseg.weights.layouts.mmseg_config import settings_of
from kseg.weights.reading.python_config import read_config

# configs/_base_/models/deeplabv3_r50-d8.py of version 1.2.2, without its comments
TEXT = """
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True, pad_val=0, seg_pad_val=255),
    pretrained='open-mmlab://resnet50_v1c',
    backbone=dict(
        type='ResNetV1c', depth=50, num_stages=4, out_indices=(0, 1, 2, 3), dilations=(1, 1, 2, 4),
        strides=(1, 2, 1, 1), norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False, style='pytorch',
        contract_dilation=True),
    decode_head=dict(
        type='ASPPHead', in_channels=2048, in_index=3, channels=512, dilations=(1, 12, 24, 36), dropout_ratio=0.1,
        num_classes=19, norm_cfg=dict(type='SyncBN', requires_grad=True), align_corners=False))
"""


def test_a_config_of_the_program():
    assert settings_of(read_config(TEXT, "model"), "mmseg/deeplabv3", True) == {
        "output_stride": 8,
        "first_rate": "previous",
        "align_corners": False,
        "pool_scales": (1, 2, 3, 6),
        "aspp_rates": (12, 24, 36),
        "mean": (123.675, 116.28, 103.53),
        "std": (58.395, 57.12, 57.375),
    }


def test_what_a_config_leaves_out_has_the_program_s_default():
    model = {"backbone": {"strides": (1, 2, 2, 1), "dilations": (1, 1, 1, 2)}, "decode_head": {}}
    found = settings_of(model, "s", True)
    assert (found["output_stride"], found["first_rate"], found["aspp_rates"]) == (16, "stage", (6, 12, 18))
    assert settings_of({"backbone": 3}, "s", True) == {}
    images = {
        "rgb_to_bgr": True,
        "mean": [1, 2, 3],
    }  # images are read as BGR: either turns their channels around
    assert settings_of(model | {"data_preprocessor": images}, "s", True)["mean"] == (1, 2, 3)
    with pytest.raises(ModelError, match="strides"):  # 32, mmsegmentation's default
        settings_of({"backbone": {}, "decode_head": {}}, "s", False)
