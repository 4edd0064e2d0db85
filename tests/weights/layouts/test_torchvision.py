"""torchvision's networks, against torchvision."""

import keras
import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import SOURCES, identify, import_weights
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


@pytest.mark.full
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


def vgg_state(normalised):
    """vgg16's keys, one channel wide but for the last kernels, in the order of torchvision's table of layers."""
    rng, found, number, inputs = np.random.default_rng(0), {}, 0, 3
    for width in (64, 64, "M", 128, 128, "M", *(256,) * 3, "M", *(512,) * 3, "M", *(512,) * 3, "M"):
        if width == "M":
            number += 1
            continue
        found[f"features.{number}.weight"] = rng.normal(size=(width, inputs, 3, 3)).astype("f4")
        found[f"features.{number}.bias"] = rng.normal(size=width).astype("f4")
        if normalised:
            for name in ("weight", "bias", "running_mean", "running_var"):
                found[f"features.{number + 1}.{name}"] = rng.uniform(0.5, 1.5, width).astype("f4")
        number, inputs = number + 2 + normalised, width
    return found


@pytest.mark.full
@pytest.mark.parametrize("normalised", [False, True])
def test_vgg16_as_a_backbone(normalised, folder):
    arrays = vgg_state(normalised)
    np.savez(folder / "net.npz", **arrays)
    found = import_weights(folder / "net.npz")
    assert found.source == f"torchvision/vgg16{'_bn' if normalised else ''}"
    assert found.model.get_config()["mean"] == (123.675, 116.28, 103.53)
    # blue, green, red, each over its standard deviation
    kernel = (
        arrays["features.0.weight"].transpose(2, 3, 1, 0)[:, :, ::-1]
        / np.array([57.375, 57.12, 58.395])[:, None]
    )
    np.testing.assert_allclose(found.model.get_layer("block1_conv1").kernel, kernel, rtol=1e-6)
    last = arrays["features.40.weight" if normalised else "features.28.weight"]
    np.testing.assert_array_equal(found.model.get_layer("block5_conv3").kernel, last.transpose(2, 3, 1, 0))


def mobilenet_v2_state(width=8):
    """MobileNetV2's keys at a quarter of its width, from the paper's table."""
    rng, found, inputs = np.random.default_rng(0), {}, width

    def unit(conv, bn, *sizes, groups=1):
        found.update(unit_state(rng, conv, bn, *sizes, groups=groups))

    unit("features.0.0", "features.0.1", 3, width, 3)
    block = 0
    for expansion, outputs, repeats in (
        (1, 8, 1),
        (6, 8, 2),
        (6, 8, 3),
        (6, 16, 4),
        (6, 24, 3),
        (6, 40, 3),
        (6, 80, 1),
    ):
        for _ in range(repeats):
            block += 1
            name, hidden, number = f"features.{block}.conv", inputs * expansion, 0
            if expansion > 1:
                unit(f"{name}.0.0", f"{name}.0.1", inputs, hidden)
                number = 1
            unit(f"{name}.{number}.0", f"{name}.{number}.1", hidden, hidden, 3, groups=hidden)
            unit(f"{name}.{number + 1}", f"{name}.{number + 2}", hidden, outputs)
            inputs = outputs
    unit("features.18.0", "features.18.1", inputs, 1280)
    return found


def test_mobilenet_v2_as_a_backbone(folder):
    arrays = mobilenet_v2_state()
    np.savez(folder / "net.npz", **arrays, **{"classifier.1.weight": np.ones((3, 1280), "f4")})
    found = import_weights(folder / "net.npz", output_stride=16)
    assert (found.source, found.unused) == ("torchvision/mobilenet_v2", ("classifier.1.weight",))
    assert found.model.get_config()["padding"] == "symmetric"
    kernel = arrays["features.17.conv.2.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(found.model.get_layer("block17_project_conv").kernel, kernel)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "vgg16", "vgg16_bn"]
)
def test_other_classifiers_as_backbones(name, needs, folder):
    torch, vision = needs("torch"), needs("torchvision")
    net, vgg = randomised(getattr(vision.models, name)(weights=None, num_classes=5)), name.startswith("vgg")
    state = net.state_dict() if name != "vgg16" else net.features.state_dict(prefix="features.")
    torch.save(state, folder / "net.pth")
    found, image = import_weights(folder / "net.pth"), image_of(*((96, 160) if vgg else (129, 170)))
    with torch.no_grad():
        assert_same_features(found.model, image, net.features(torch_input(image)))


@pytest.mark.parametrize(
    ("key", "left_out"),
    [("aux_classifier.4.bias", True), ("aux_classifier.77.weight", False), ("aux_classifier.0.extra", False)],
)
def test_only_a_second_head_s_own_keys_are_left_out(key, left_out):
    assert SOURCES["torchvision/fcn"].left_out(key) == left_out
    assert not SOURCES["torchvision/lraspp"].left_out(key)  # which has no second head
