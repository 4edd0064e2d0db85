"""MobileNetV3 by torchvision's keys, on a net a quarter as wide."""

import numpy as np
import pytest

from kseg.backbones import MobileNetV3
from kseg.errors import ModelError
from kseg.weights.axes import torch_moves
from kseg.weights.layouts.mobilenet import mobilenet, mobilenet_modules
from kseg.weights.transfer import plan, state_of

# Blocks of MobileNetV3-Small with squeeze and excitation (Howard et al. 2019, table 2), and all of them.
SQUEEZED, COUNT = {1, 4, 5, 6, 7, 8, 9, 10, 11}, 11


def modules_by_hand():
    """torchvision's modules of MobileNetV3-Small, written from its mobilenetv3.py."""
    found = {"stem_conv": "f.0.0", "stem_bn": "f.0.1", "last_conv": "f.12.0", "last_bn": "f.12.1"}
    for block in range(1, COUNT + 1):
        parts = [*(["expand"] if block > 1 else []), "dw", *(["se"] if block in SQUEEZED else []), "project"]
        for number, part in enumerate(parts):
            place = f"f.{block}.block.{number}"
            if part == "se":
                found |= {f"block{block}_fc1": f"{place}.fc1", f"block{block}_fc2": f"{place}.fc2"}
            else:
                found |= {f"block{block}_{part}_conv": f"{place}.0", f"block{block}_{part}_bn": f"{place}.1"}
    return found


def test_every_array_finds_its_layer():
    first = MobileNetV3("small", width=0.25)
    arrays = state_of(first, torch_moves(first, modules_by_hand()))
    assert mobilenet_modules(first, arrays, "f.") == modules_by_hand()
    second = mobilenet(arrays, "f.", 32, "s")
    plan(
        second, arrays, torch_moves(second, mobilenet_modules(second, arrays, "f.")), lambda key: False, "s"
    ).apply()
    image = np.random.default_rng(0).uniform(0, 255, (1, 65, 49, 3)).astype("f4")
    for one, other in zip(first(image).values(), second(image).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_others_are_refused():
    with pytest.raises(ModelError, match="not a MobileNetV3"):
        mobilenet({"f.1.block.0.0.weight": np.zeros((1, 1, 1, 1))}, "f.", 16, "s")
