import importlib.util
from pathlib import Path

import numpy as np
import pytest

from kseg.backbones import DeepLabMobileNetV2, EfficientNetLite

TOOL = Path(__file__).resolve().parents[3] / "tools" / "people" / "slimming.py"
_spec = importlib.util.spec_from_file_location("slimming", TOOL)
slimming = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(slimming)
slim_from, strongest = slimming.slim_from, slimming.strongest


@pytest.fixture(scope="module")
def lite0():
    return EfficientNetLite("lite0")


def test_the_strongest_channels_are_those_of_a_plain_loop(lite0):
    kernel = lite0.get_layer("block3b_project_conv").get_weights()[0]
    gamma = lite0.get_layer("block3b_dwconv_bn").get_weights()[0]
    weight = [abs(gamma[i]) * sum(abs(v) for v in kernel[0, 0, i]) for i in range(240)]
    expected = sorted(sorted(range(240), key=lambda i: -weight[i])[:80])
    assert strongest(lite0, "block3b", 80).tolist() == expected


@pytest.mark.full
def test_left_out_channels_are_as_if_they_were_silent(lite0):
    """Where lite0's other channels do not reach the projections, the slim network computes the same."""
    slim = EfficientNetLite("lite0_slim", last_stage="stage3", weights=None)
    silenced = EfficientNetLite("lite0", weights=None)
    silenced.set_weights(lite0.get_weights())
    for block in ("block2a", "block2b", "block3a", "block3b"):
        kept = strongest(lite0, block, slim.get_layer(f"{block}_expand_conv").filters)
        layer = silenced.get_layer(f"{block}_project_conv")
        kernel = np.zeros_like(layer.get_weights()[0])
        kernel[:, :, kept] = layer.get_weights()[0][:, :, kept]
        layer.set_weights([kernel])
    slim_from(slim, lite0)
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 32, 3)).astype("float32")
    wide = np.asarray(silenced(image)["stage3"])[..., strongest(lite0, "block4a", 160)]
    np.testing.assert_allclose(np.asarray(slim(image)["stage3"]), wide, rtol=1e-4, atol=1e-4)
    assert wide.std() > 0.1


@pytest.mark.full
def test_fewer_expanded_channels():
    whole, slim = DeepLabMobileNetV2(0.25), DeepLabMobileNetV2(0.25, expansions=(1, 4, 4, 6, 6, 6, 6))
    slim_from(slim, whole)
    assert slim.stages["stage1"].shape[-1] * 3 == whole.stages["stage1"].shape[-1] * 2
    np.testing.assert_array_equal(
        np.asarray(slim.get_layer("block7a_project_conv").kernel),
        np.asarray(whole.get_layer("block7a_project_conv").kernel),
    )
