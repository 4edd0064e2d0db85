"""segmentation_models.pytorch's networks, against that package."""

import numpy as np
import pytest

from kseg.errors import ModelError, SettingsError
from kseg.weights import import_weights
from kseg.weights.layouts.smp import SOURCES
from tests.weights.layouts.conftest import (
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

CASES = [
    ("DeepLabV3", "resnet50", 8, (104, 120)),
    ("DeepLabV3", "resnet18", 8, (96, 128)),
    ("DeepLabV3Plus", "resnet34", 16, (112, 144)),
    ("DeepLabV3Plus", "resnet50", 16, (96, 128)),
    ("PSPNet", "resnet34", 8, (104, 120)),
    ("PSPNet", "resnet50", 8, (96, 136)),
    ("PSPNet", "resnet18", 32, (96, 160)),
]


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("name", "encoder", "stride", "size"), CASES)
def test_against_smp(name, encoder, stride, size, needs, folder):
    """On sizes that its decoders take: multiples of the output stride."""
    needs("torchvision")
    torch, smp = needs("torch"), needs("segmentation_models_pytorch")
    deep = {"encoder_depth": 5, "upsampling": 32} if stride == 32 else {}
    net = randomised(getattr(smp, name)(encoder, encoder_weights=None, classes=5, **deep))
    torch.save(net.state_dict(), folder / "net.pth")
    found = import_weights(folder / "net.pth", settings={"upsampling": 32} if deep else None)
    image = image_of(*size)
    assert found.source == f"smp/{name.lower()}"
    assert found.model.backbone.output_stride == stride
    assert_same_state(found, net)
    with torch.no_grad():
        assert_same_logits(found.model, image, torch_logits(net(torch_input(image))))


SETTINGS = [
    ("DeepLabV3Plus", "resnet18", {"decoder_atrous_rates": (6, 12, 18)}),
    ("DeepLabV3Plus", "resnet18", {"encoder_depth": 4, "encoder_output_stride": 8}),
    ("DeepLabV3", "resnet18", {"decoder_atrous_rates": (2, 4, 6), "encoder_output_stride": 16}),
    ("DeepLabV3Plus", "mobilenet_v2", {"encoder_output_stride": 8}),
    ("DeepLabV3", "mobilenet_v2", {"encoder_output_stride": 16}),
    ("PSPNet", "resnet18", {"encoder_depth": 4, "upsampling": 16}),
]


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("name", "encoder", "given"), SETTINGS)
def test_settings_that_no_key_shows(name, encoder, given, needs, folder):
    """Said, and read from the config.json that `save_pretrained` writes."""
    needs("torchvision")
    torch, smp = needs("torch"), needs("segmentation_models_pytorch")
    net = randomised(getattr(smp, name)(encoder, encoder_weights=None, classes=5, **given))
    torch.save(net.state_dict(), folder / "net.pth")
    ours = {
        "decoder_atrous_rates": "aspp_rates",
        "encoder_output_stride": "output_stride",
        "upsampling": "upsampling",
    }
    settings = {ours[key]: value for key, value in given.items() if key in ours}
    net.save_pretrained(folder / "hub")
    image = image_of(96, 160)
    with torch.no_grad():
        expected = torch_logits(net(torch_input(image)))
    assert_same_logits(import_weights(folder / "net.pth", settings=settings).model, image, expected)
    found = import_weights(folder / "hub" / "model.safetensors")
    assert_same_logits(found.model, image, expected)
    assert {found.settings[key][1] for key in settings} == {"config"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"classes": 7}, "says classes 7, and the network that its keys show has 3"),
        ({"encoder_depth": 5}, "says encoder_depth 5"),
        ({"in_channels": 4}, "says in_channels 4"),
        ({"upsampling": 4}, "4/8 of the image's height"),
        ({"_model_class": "FPN"}, "says _model_class FPN"),
    ],
)
def test_a_config_that_contradicts_the_keys(change, words):
    source, arrays = next(one for one in SOURCES if one.network == "PSPNet"), narrow_pspnet(8)
    config = {
        "encoder_name": "resnet18",
        "encoder_depth": 3,
        "classes": 3,
        "in_channels": 3,
        "upsampling": 8,
        **change,
    }
    if words is None:
        assert source.of_config(config, arrays) == {"upsampling": 8}
        return
    with pytest.raises(ModelError, match=words):
        source.of_config(config, arrays)


def narrow_deeplab(older=False):
    """smp's keys of a DeepLabV3 on a ResNet-18 a few channels wide; `older` as before version 0.4."""
    rng, found = np.random.default_rng(0), resnet_state(18, prefix="encoder.")
    aspp, conv, bn = (
        ("decoder.0", "decoder.1", "decoder.2") if older else ("decoder.aspp", "decoder.conv", "decoder.bn")
    )
    for branch in range(4):
        names = f"{aspp}.convs.{branch}.0", f"{aspp}.convs.{branch}.1"
        found |= unit_state(rng, *names, 32, 6, 3 if branch else 1)
    found |= unit_state(rng, f"{aspp}.convs.4.1", f"{aspp}.convs.4.2", 32, 6)
    found |= unit_state(rng, f"{aspp}.project.0", f"{aspp}.project.1", 30, 6)
    return found | unit_state(rng, conv, bn, 6, 6, 3) | score_state(rng, "segmentation_head.0", 6, 3)


def test_keys_of_a_deeplab_before_version_4(folder):
    np.savez(folder / "new.npz", **narrow_deeplab())
    np.savez(folder / "old.npz", **narrow_deeplab(older=True))
    new, old = (import_weights(folder / name) for name in ("new.npz", "old.npz"))
    assert (old.source, old.unused) == ("smp/deeplabv3", ())
    for mine, theirs in zip(old.model.weights, new.model.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("stride", "upsampling", "fits"),
    [(8, 8, True), (8, None, True), (16, 16, True), (8, 4, False), (16, 8, False), (None, 16, False)],
)
def test_the_upsampling_of_a_deeplab_is_its_output_stride(stride, upsampling, fits):
    source = next(one for one in SOURCES if one.network == "DeepLabV3")
    config = {"encoder_name": "resnet18", "upsampling": upsampling, "decoder_use_norm": True}
    config |= {} if stride is None else {"encoder_output_stride": stride}
    if fits:
        assert source.of_config(config, narrow_deeplab()) == {"output_stride": stride}
        return
    with pytest.raises(ModelError, match=f"{upsampling}/{stride or 8} of the image's height"):
        source.of_config(config, narrow_deeplab())


@pytest.mark.parametrize("stride", ["8", [8], float("nan")])
def test_an_output_stride_that_is_no_number(stride):
    source = next(one for one in SOURCES if one.network == "DeepLabV3")
    with pytest.raises(SettingsError, match="encoder_output_stride"):
        source.of_config({"encoder_name": "resnet18", "encoder_output_stride": stride}, narrow_deeplab())


def narrow_pspnet(inputs):
    """smp's keys of a PSPNet on a ResNet-18 a few channels wide, whose pyramid stands on `inputs` channels."""
    rng, found, level = np.random.default_rng(0), resnet_state(18, prefix="encoder."), inputs // 4
    for number in range(4):
        place = f"decoder.psp.blocks.{number}.pool.1"
        found |= unit_state(rng, f"{place}.0", f"{place}.1", inputs, level)
    for name in ("weight", "bias", "running_mean", "running_var"):
        del found[f"decoder.psp.blocks.0.pool.1.1.{name}"]
    found["decoder.psp.blocks.0.pool.1.0.bias"] = rng.normal(size=level).astype("f4")
    found |= unit_state(rng, "decoder.conv.0", "decoder.conv.1", 2 * inputs, 6)
    found["segmentation_head.0.weight"] = rng.normal(size=(3, 6, 3, 3)).astype("f4")
    return found | {"segmentation_head.0.bias": rng.normal(size=3).astype("f4")}


@pytest.mark.parametrize(("inputs", "stage"), [(8, "stage3"), (16, "stage4"), (32, "stage5")])
def test_every_array_of_a_pspnet_finds_its_layer(inputs, stage, folder):
    arrays = narrow_pspnet(inputs)
    np.savez(folder / "net.npz", **arrays)
    depth = int(stage[-1])
    if depth > 3:
        with pytest.raises(ModelError, match=f"encoder_depth {depth}, and no key shows `upsampling`"):
            import_weights(folder / "net.npz")
    with pytest.raises(ModelError, match=f"16/{2**depth} of the image|{2**depth}"):
        import_weights(folder / "net.npz", settings={"upsampling": 16 if depth != 4 else 8})
    found = import_weights(folder / "net.npz", settings={"upsampling": 2**depth})
    assert found.source == "smp/pspnet"
    assert list(found.model.backbone.stages)[-1] == stage
    assert {key.split(".")[1] for key in found.unused} == {"layer3", "layer4"} - {
        f"layer{n - 1}" for n in range(3, int(stage[-1]) + 1)
    }
    theirs = arrays["decoder.conv.0.weight"].transpose(2, 3, 1, 0)
    mine = np.concatenate([theirs[:, :, inputs:], theirs[:, :, :inputs]], axis=2)  # the map, then the levels
    np.testing.assert_array_equal(found.model.get_layer("conv").kernel, mine)
    pyramid = found.model.get_layer("pyramid")
    np.testing.assert_array_equal(pyramid.convolutions[0].bias, arrays["decoder.psp.blocks.0.pool.1.0.bias"])


def test_a_pyramid_on_channels_of_no_stage_is_refused(folder):
    arrays = narrow_pspnet(8) | {"decoder.conv.0.weight": np.zeros((6, 20, 1, 1), "f4")}
    np.savez(folder / "net.npz", **arrays)
    with pytest.raises(ModelError, match="12 channels, which no stage of its encoder"):
        import_weights(folder / "net.npz")


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.name)
def test_a_classification_head_is_left_out(source):
    """`aux_params` gives every network one."""
    assert source.left_out("classification_head.3.weight")
    assert not source.left_out("segmentation_head.0.weight")
