"""timm's ResNets as backbones, against timm."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import import_weights
from tests.weights.layouts.conftest import (
    assert_same_features,
    assert_same_state,
    image_of,
    randomised,
    resnet_state,
    torch_input,
)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "source"),
    [("resnet18d", "timm/resnet"), ("resnet50t", "timm/resnet"), ("resnet50", "torchvision/resnet")],
)
def test_against_timm(name, source, needs, folder):
    needs("torchvision")
    torch, timm = needs("torch"), needs("timm")
    net, image = randomised(timm.create_model(name)), image_of(101, 118)
    torch.save(net.state_dict(), folder / "net.pth")
    found = import_weights(folder / "net.pth")
    assert found.source == source
    assert {key for key in found.unused if not key.endswith("tracked")} == {"fc.weight", "fc.bias"}
    assert_same_state(found, net)
    with torch.no_grad():
        assert_same_features(found.model, image, net.forward_features(torch_input(image)))


@pytest.mark.parametrize(("depth", "average"), [(18, True), (50, True), (50, False)])
def test_every_array_finds_its_layer(depth, average, folder):
    arrays = resnet_state(depth, "timm", average=average)
    np.savez(folder / "net.npz", **arrays, **{"fc.bias": np.zeros(5, "f4")})
    found = import_weights(folder / "net.npz")
    assert (found.source, found.unused) == ("timm/resnet", ("fc.bias",))
    config = found.model.get_config()
    assert (config["depth"], config["shortcut"]) == (depth, "average" if average else "convolution")
    assert config["stem_filters"] == (2, 2, 4)
    kernel = arrays[f"layer2.0.downsample.{int(average)}.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(found.model.get_layer("conv3_block1_0_conv").kernel, kernel)
    np.testing.assert_array_equal(found.model.get_layer("conv1_3_bn").gamma, arrays["bn1.weight"])


@pytest.mark.parametrize(
    "file", ["resnetaa50d_ah.npz", "resnet34.ra4_e3600_r224_in1k.npz", "resnetblur18.npz"]
)
def test_networks_with_the_keys_of_another_are_refused_by_name(file, folder):
    np.savez(folder / file, **resnet_state(18, "conv1" if "blur" in file else "timm"))
    with pytest.raises(ModelError, match="keys are those of a plain ResNet"):
        import_weights(folder / file)
