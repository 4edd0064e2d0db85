"""transformers' ResNets as backbones, against transformers."""

import re

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
@pytest.mark.parametrize("depth", [18, 50])
@pytest.mark.parametrize("head", [False, True])
def test_against_transformers(depth, head, needs, folder):
    needs("torchvision")  # transformers imports it where it is there
    torch, transformers = needs("torch"), needs("transformers")
    basic = {"depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "layer_type": "basic"}
    config = transformers.ResNetConfig(**(basic if depth == 18 else {}))
    net = transformers.ResNetForImageClassification(config) if head else transformers.ResNetModel(config)
    net, image = randomised(net), image_of(101, 118)
    torch.save(net.state_dict(), folder / "net.pth")
    found = import_weights(folder / "net.pth")
    assert (found.source, found.model.depth) == ("huggingface/resnet", depth)
    assert all(key.endswith("tracked") or key.startswith("classifier.") for key in found.unused)
    assert_same_state(found, net)
    body = net.resnet if head else net
    with torch.no_grad():
        assert_same_features(found.model, image, body(torch_input(image)).last_hidden_state)


def renamed(arrays, prefix):
    """torchvision's keys -> transformers', told from its modeling_resnet.py."""
    found = {}
    for key, array in arrays.items():
        key = re.sub(r"^conv1\.", "embedder.embedder.convolution.", key)
        key = re.sub(r"^bn1\.", "embedder.embedder.normalization.", key)
        key = re.sub(r"^layer(\d)\.(\d+)\.", lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.", key)
        key = re.sub(r"\.conv(\d)\.", lambda m: f".layer.{int(m[1]) - 1}.convolution.", key)
        key = re.sub(r"\.bn(\d)\.", lambda m: f".layer.{int(m[1]) - 1}.normalization.", key)
        key = key.replace("downsample.0", "shortcut.convolution").replace(
            "downsample.1", "shortcut.normalization"
        )
        found[prefix + key] = array
    return found


@pytest.mark.parametrize(("depth", "prefix"), [(34, ""), (50, "resnet.")])
def test_every_array_finds_its_layer(depth, prefix, folder):
    arrays = resnet_state(depth)
    np.savez(folder / "net.npz", **renamed(arrays, prefix), **{"classifier.1.bias": np.zeros(5, "f4")})
    found = import_weights(folder / "net.npz")
    assert (found.source, found.unused) == ("huggingface/resnet", ("classifier.1.bias",))
    model = found.model
    np.testing.assert_array_equal(
        model.get_layer("conv1_conv").kernel, arrays["conv1.weight"].transpose(2, 3, 1, 0)
    )
    np.testing.assert_array_equal(model.get_layer("conv4_block6_2_bn").beta, arrays["layer3.5.bn2.bias"])
    np.testing.assert_array_equal(
        model.get_layer("conv5_block1_0_bn").moving_mean, arrays["layer4.0.downsample.1.running_mean"]
    )


def test_an_incomplete_file_is_refused(folder):
    arrays = renamed(resnet_state(18), "")
    del arrays["encoder.stages.3.layers.1.layer.1.normalization.running_var"]
    np.savez(folder / "net.npz", **arrays)
    with pytest.raises(ModelError, match="conv5_block2_2_bn/moving_variance"):
        import_weights(folder / "net.npz")
