import sys
from pathlib import Path

import numpy as np
import pytest

from kseg import models
from kseg.backbones import VGG16, DeepLabVGG16, ResNet
from kseg.models import DeepLabV2
from kseg.models.deeplab_v2 import start_branches_from

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_segmenter

# The rates have no weights: ASPP-S is as large as ASPP-L.
PUBLISHED = {
    "deeplabv2_vgg16": 37_877_652,
    "deeplabv2_vgg16_aspp_s": 37_877_652,
    "deeplabv2_resnet101": 44_048_532,
}


def small_vgg(hidden=4):
    backbone = DeepLabVGG16(filters=None, average=False, name="vgg16")
    return DeepLabV2(backbone, 3, rates=(2, 4), hidden=hidden, dropout=0.25)


@pytest.mark.full
def test_contract_on_vgg(tmp_path):
    check_segmenter(small_vgg(), tmp_path)


@pytest.mark.slow
def test_contract_on_resnet(tmp_path):
    check_segmenter(DeepLabV2(ResNet(50, filters=4, output_stride=8, name="resnet50"), 3), tmp_path)


def test_branches_start_from_the_classifier():
    model, vgg16 = small_vgg(hidden=2), VGG16(filters=8)
    start_branches_from(model, vgg16)
    for branch in model.get_layer("aspp").branches:
        fc6 = next(layer for layer in branch if layer.name.startswith("fc6"))
        expected = np.asarray(vgg16.get_layer("fc6").kernel)[::3, ::3, :, ::4]
        np.testing.assert_array_equal(fc6.kernel, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rates"), [("deeplabv2_vgg16", (6, 12, 18, 24)), ("deeplabv2_vgg16_aspp_s", (2, 4, 8, 12))]
)
def test_small_and_large_fields_of_view(name, rates):
    assert models.build(name, 2).rates == rates


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameter_counts(name):
    """Without BatchNorm's moving statistics, which the published counts leave out."""
    weights = models.build(name, 21).weights
    counted = [w for w in weights if "moving" not in w.path and "seed" not in w.path]
    assert sum(int(np.prod(w.shape)) for w in counted) == PUBLISHED[name]
