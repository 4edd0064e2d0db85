"""torchvision's networks, against torchvision."""

import keras
import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import identify, import_weights
from tests.weights.layouts.conftest import (
    assert_same_features,
    assert_same_logits,
    assert_same_state,
    image_of,
    randomised,
    resnet_state,
    score_state,
    torch_input,
    torch_logits,
    unit_state,
)

SIZE = (101, 118)  # odd and even, no multiple of anything
NETS = {
    "fcn_resnet50": "torchvision/fcn",
    "fcn_resnet101": "torchvision/fcn",
    "deeplabv3_resnet50": "torchvision/deeplabv3",
    "deeplabv3_resnet101": "torchvision/deeplabv3",
    "deeplabv3_mobilenet_v3_large": "torchvision/deeplabv3",
    "lraspp_mobilenet_v3_large": "torchvision/lraspp",
}


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_against_torchvision(name, needs, folder):
    segmentation, torch = needs("torchvision").models.segmentation, needs("torch")
    make = getattr(segmentation, name)
    more = {} if name.startswith("lraspp") else {"aux_loss": True}
    net = randomised(make(weights=None, weights_backbone=None, num_classes=21, **more))
    torch.save(net.state_dict(), folder / "net.pth", _use_new_zipfile_serialization="fcn" not in name)
    found, image = import_weights(folder / "net.pth"), image_of(*SIZE)
    assert found.source == NETS[name]
    assert all(
        key.startswith("aux_classifier.") or key.endswith("num_batches_tracked") for key in found.unused
    )
    assert_same_state(found, net)
    with torch.no_grad():
        assert_same_logits(found.model, image, torch_logits(net(torch_input(image))["out"]))


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large"])
def test_second_head_against_torchvision(name, needs, folder):
    segmentation, torch = needs("torchvision").models.segmentation, needs("torch")
    net = randomised(
        getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    )
    torch.save(net.state_dict(), folder / "net.pth")
    image = image_of(*SIZE)
    found = import_weights(folder / "net.pth", auxiliary=True)
    assert all(key.endswith("num_batches_tracked") for key in found.unused)
    full = found.training_model
    with torch.no_grad():
        expected = net(torch_input(image))
    for mine, theirs in (("logits", "out"), ("auxiliary", "aux")):
        one = keras.Model(full.input, full.output[mine], name=mine)
        assert_same_logits(one, image, torch_logits(expected[theirs]))


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_backbones_against_torchvision(name, needs, folder):
    models, torch = needs("torchvision").models, needs("torch")
    net, image = randomised(getattr(models, name)(weights=None)), image_of(*SIZE)
    torch.save(net.state_dict(), folder / "net.pth")
    found = import_weights(folder / "net.pth")
    assert found.source == "torchvision/resnet"
    assert {key for key in found.unused if not key.endswith("tracked")} == {"fc.weight", "fc.bias"}
    body = torch.nn.Sequential(*list(net.children())[:-2])
    with torch.no_grad():
        assert_same_features(found.model, image, body(torch_input(image)))


def narrow_state(deeplab):
    """torchvision's keys on a ResNet-18 a few channels wide."""
    rng, found = np.random.default_rng(0), resnet_state(18, prefix="backbone.")
    if not deeplab:
        found |= unit_state(rng, "classifier.0", "classifier.1", 32, 5, 3) | score_state(
            rng, "classifier.4", 5, 3
        )
        return found | score_state(rng, "aux_classifier.4", 5, 3)
    aspp = "classifier.0."
    found |= unit_state(rng, f"{aspp}convs.0.0", f"{aspp}convs.0.1", 32, 256)
    for branch in (1, 2, 3):
        found |= unit_state(rng, f"{aspp}convs.{branch}.0", f"{aspp}convs.{branch}.1", 32, 256, 3)
    found |= unit_state(rng, f"{aspp}convs.4.1", f"{aspp}convs.4.2", 32, 256)
    found |= unit_state(rng, f"{aspp}project.0", f"{aspp}project.1", 5 * 256, 256)
    return (
        found
        | unit_state(rng, "classifier.1", "classifier.2", 256, 256, 3)
        | score_state(rng, "classifier.4", 256, 3)
    )


@pytest.mark.parametrize("deeplab", [False, True])
def test_every_array_finds_its_layer(deeplab, folder):
    arrays = narrow_state(deeplab)
    np.savez(folder / "net.npz", **arrays)
    found = import_weights(folder / "net.npz")
    assert found.source == identify(arrays) == f"torchvision/{'deeplabv3' if deeplab else 'fcn'}"
    assert set(found.unused) == {key for key in arrays if key.startswith("aux")}
    backbone = found.model.backbone
    assert (backbone.depth, backbone.output_stride) == (18, 8)
    config = backbone.get_config()
    assert (config["first_rate"], config["ceil_pooling"], config["bgr"]) == ("previous", False, False)
    kernel = arrays["classifier.1.weight" if deeplab else "classifier.0.weight"].transpose(2, 3, 1, 0)
    layer = found.model.get_layer("head_conv" if deeplab else "head1_conv")
    np.testing.assert_array_equal(layer.kernel, kernel)


def test_the_second_head_is_taken_where_it_is_asked_for(folder):
    rng, arrays = np.random.default_rng(1), narrow_state(False)
    with_head = arrays | unit_state(rng, "aux_classifier.0", "aux_classifier.1", 16, 4, 3)
    with_head |= score_state(rng, "aux_classifier.4", 4, 3)
    np.savez(folder / "net.npz", **with_head)
    found = import_weights(folder / "net.npz", auxiliary=True)
    full = found.training_model
    assert found.unused == ()
    assert sorted(full.output) == ["auxiliary", "logits"]
    for layer, key in (("auxiliary_conv", "aux_classifier.0"), ("auxiliary_score", "aux_classifier.4")):
        kernel = with_head[f"{key}.weight"].transpose(2, 3, 1, 0)
        np.testing.assert_array_equal(full.get_layer(layer).kernel, kernel)
    np.testing.assert_array_equal(full.get_layer("auxiliary_bn").gamma, with_head["aux_classifier.1.weight"])
    assert full.get_layer("score") is found.model.get_layer("score")
    assert import_weights(folder / "net.npz").training_model is None
    elsewhere = with_head | {"aux_classifier.0.weight": rng.normal(size=(4, 12, 3, 3)).astype("f4")}
    np.savez(folder / "elsewhere.npz", **elsewhere)
    with pytest.raises(ModelError, match="no stage"):
        import_weights(folder / "elsewhere.npz", auxiliary=True)
    np.savez(folder / "without.npz", **arrays)
    with pytest.raises(ModelError, match="has no auxiliary head"):
        import_weights(folder / "without.npz", auxiliary=True)
