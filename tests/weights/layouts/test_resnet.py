"""Depths and stems of ResNets by their keys, on nets a few channels wide."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.resnet import depth_of, resnet, resnet_modules, stem_of, width_of
from kseg.weights.transfer import plan, variables

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
STEMS = {
    "conv1": [("conv1", "bn1", 3, 4, 7)],
    "stem": [("stem.0", "stem.1", 3, 2, 3), ("stem.3", "stem.4", 2, 2, 3), ("stem.6", "stem.7", 2, 4, 3)],
    "timm": [("conv1.0", "conv1.1", 3, 2, 3), ("conv1.3", "conv1.4", 2, 2, 3), ("conv1.6", "bn1", 2, 4, 3)],
    "layer0": [
        ("layer0.0", "layer0.1", 3, 4, 3),
        ("layer0.3", "layer0.4", 4, 4, 3),
        ("layer0.6", "layer0.7", 4, 8, 3),
    ],
}


def state(depth, stem="conv1", prefix="", width=4, average=False):
    """A state dict of random numbers as PyTorch's programs name it, counted from the papers' tables."""
    rng, found = np.random.default_rng(0), {}

    def unit(conv, bn, inputs, outputs, side):
        found[f"{prefix}{conv}.weight"] = rng.normal(size=(outputs, inputs, side, side)).astype("f4")
        for name in ("weight", "bias", "running_mean", "running_var"):
            found[f"{prefix}{bn}.{name}"] = rng.uniform(0.5, 1.5, outputs).astype("f4")

    for one in STEMS[stem]:
        unit(*one)
    inputs, basic = STEMS[stem][-1][3], depth < 50
    for stage, count in enumerate(BLOCKS[depth], start=1):
        wide = width * 2 ** (stage - 1)
        out = wide if basic else 4 * wide
        for block in range(count):
            name = f"layer{stage}.{block}."
            sides = (
                ((inputs, wide, 3), (wide, out, 3))
                if basic
                else ((inputs, wide, 1), (wide, wide, 3), (wide, out, 1))
            )
            for number, sizes in enumerate(sides, start=1):
                unit(f"{name}conv{number}", f"{name}bn{number}", *sizes)
            if inputs != out or (stage > 1 and block == 0):
                first = int(average)
                unit(f"{name}downsample.{first}", f"{name}downsample.{first + 1}", inputs, out, 1)
            inputs = out
    return found


@pytest.mark.parametrize(
    ("depth", "stem", "average"),
    [(18, "conv1", False), (50, "stem", False), (50, "timm", True), (50, "layer0", False)],
)
def test_every_array_finds_its_layer(depth, stem, average):
    arrays = state(depth, stem, "backbone.", average=average)
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
        assert depth_of(state(depth), "", "s") == depth
    assert width_of(state(34, width=4), "", "s") == 4


def test_others_are_refused():
    arrays = state(50)
    with pytest.raises(ModelError, match="no ResNet"):
        depth_of({key: a for key, a in arrays.items() if not key.startswith("layer3.4.")}, "", "s")
    with pytest.raises(ModelError, match="ResNeXt"):
        width_of({**arrays, "layer1.0.conv2.weight": np.zeros((4, 1, 3, 3))}, "", "s")
    with pytest.raises(ModelError, match="Wide"):
        width_of({**arrays, "conv1.weight": np.zeros((2, 3, 7, 7))}, "", "s")
    with pytest.raises(ModelError, match="no kernel"):
        width_of({**arrays, "layer1.0.conv1.weight": np.zeros(4)}, "", "s")
