"""Depths and stems of ResNets by their keys, on nets a few channels wide."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import depth_of, resnet, resnet_modules, stem_of, width_of
from kseg.weights.transfer import plan, variables
from tests.weights.layouts.conftest import resnet_state


@pytest.mark.parametrize(
    ("depth", "stem", "average"),
    [(18, "conv1", False), (50, "timm", True), (18, "stem", False), (18, "layer0", False)],
)
def test_every_array_finds_its_layer(depth, stem, average):
    arrays = resnet_state(depth, stem, "backbone.", average=average)
    assert (depth_of(arrays, "backbone.", "s"), stem_of(arrays, "backbone.")) == (depth, stem)
    model = resnet(arrays, "backbone.", 8, "s")
    settled = plan(
        model, arrays, torch_moves(model, resnet_modules(model, arrays, "backbone.")), lambda key: False, "s"
    )
    assert settled.unused == ()
    settled.apply()
    names = variables(model)
    block = arrays["backbone.layer3.1.conv2.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(names["conv4_block2_2_conv/kernel"], block)
    first = int(average)
    shortcut = arrays[f"backbone.layer4.0.downsample.{first}.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(names["conv5_block1_0_conv/kernel"], shortcut)


def test_deeper_ones_are_counted():
    for depth in (34, 101):
        assert depth_of(resnet_state(depth), "", "s") == depth
    assert width_of(resnet_state(34, width=4), "", "s") == 4


def test_others_are_refused():
    arrays = resnet_state(50)
    with pytest.raises(ModelError, match="not a ResNet"):
        depth_of({key: a for key, a in arrays.items() if not key.startswith("layer3.5.")}, "", "s")
    with pytest.raises(ModelError, match="ResNeXt"):
        width_of({**arrays, "layer1.0.conv2.weight": np.zeros((4, 1, 3, 3))}, "", "s")
    with pytest.raises(ModelError, match="Wide"):
        width_of({**arrays, "conv1.weight": np.zeros((2, 3, 7, 7))}, "", "s")
    with pytest.raises(ModelError, match="not the kernel"):
        width_of({**arrays, "layer1.0.conv1.weight": np.zeros(4)}, "", "s")
