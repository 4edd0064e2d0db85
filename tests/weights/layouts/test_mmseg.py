"""mmsegmentation's networks, against mmsegmentation 1.2.2."""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.util import spec_from_loader

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights import SOURCES, identify, import_weights
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

SIZE = (97, 130)
HEADS = {
    "pspnet": "PSPHead",
    "fcn": "FCNHead",
    "deeplabv3": "ASPPHead",
    "deeplabv3plus": "DepthwiseSeparableASPPHead",
}


class WithoutOperators(MetaPathFinder, Loader):
    """Stands for `mmcv.ops`: compiled operators, which these heads do not use and mmcv-lite does not have."""

    def __init__(self, base):
        self.base = base

    def find_spec(self, name, path=None, target=None):
        ours = name == "mmcv.ops" or name.startswith("mmcv.ops.")
        return spec_from_loader(name, self, is_package=True) if ours else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        def attribute(name):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (self.base,), {})

        module.__getattr__ = attribute


def network(needs, head, depth, corners):
    """Backbone and head as `configs/_base_/models/NET_r50-d8.py` put them together, with the segmentor's keys."""
    torch = needs("torch")
    needs("torchvision")  # which mmcv imports
    needs("mmcv")
    if not any(isinstance(finder, WithoutOperators) for finder in sys.meta_path):
        sys.meta_path.insert(0, WithoutOperators(torch.nn.Module))
    needs("mmseg")
    from mmseg.models import decode_heads
    from mmseg.models.backbones import ResNetV1c

    settings = {
        "num_stages": 4,
        "out_indices": (0, 1, 2, 3),
        "dilations": (1, 1, 2, 4),
        "strides": (1, 2, 1, 1),
    }
    norm = {"type": "BN", "requires_grad": True}
    channels = 2048 if depth > 34 else 512
    own = {
        "pspnet": {"pool_scales": (1, 2, 3, 6)},
        "fcn": {"num_convs": 2, "concat_input": True},
        "deeplabv3": {"dilations": (1, 12, 24, 36)},
        "deeplabv3plus": {"dilations": (1, 12, 24, 36), "c1_in_channels": channels // 8, "c1_channels": 48},
    }[head]
    shared = {"in_channels": channels, "channels": channels // 4, "num_classes": 19, "dropout_ratio": 0.1}
    net = torch.nn.Module()
    net.backbone = ResNetV1c(
        depth=depth, norm_cfg=norm, norm_eval=False, style="pytorch", contract_dilation=True, **settings
    )
    net.decode_head = getattr(decode_heads, HEADS[head])(
        in_index=3, norm_cfg=norm, align_corners=corners, **shared, **own
    )
    return randomised(net)


CASES = [(head, 50, False) for head in HEADS] + [
    ("pspnet", 18, False),
    ("deeplabv3plus", 18, False),
    ("pspnet", 18, True),
    ("pspnet", 101, False),
    ("deeplabv3", 101, False),
]


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("head", "depth", "corners"), CASES)
def test_against_mmsegmentation(head, depth, corners, needs, folder):
    torch, net, image = needs("torch"), network(needs, head, depth, corners), image_of(*SIZE)
    classes = tuple(f"class {number}" for number in range(19))
    content = {"meta": {"CLASSES": classes}, "state_dict": net.state_dict()}
    file = folder / f"{head}_r{depth}-d8_{'769x769' if corners else '512x1024'}_80k_cityscapes.pth"
    torch.save(content, file)
    found = import_weights(file)
    assert found.source == f"mmseg/{head}{'-corners' if corners else ''}"
    assert found.model.classes == classes
    assert_same_state(found, net)
    with torch.no_grad():
        scores = net.decode_head(net.backbone(torch_input(image)))
        logits = torch.nn.functional.interpolate(scores, SIZE, mode="bilinear", align_corners=corners)
    assert_same_logits(found.model, image, torch_logits(logits))


def narrow_state(head, width=4):
    """mmsegmentation's keys on a ResNet-18 a few channels wide."""
    rng, found = np.random.default_rng(0), resnet_state(18, "stem", "backbone.")

    def unit(module, *sizes, groups=1):
        name = f"decode_head.{module}"
        return unit_state(rng, f"{name}.conv", f"{name}.bn", *sizes, groups=groups)

    found |= score_state(rng, "decode_head.conv_seg", width, 3)
    if head == "pspnet":
        for level in range(4):
            found |= unit(f"psp_modules.{level}.1", 32, width)
        return found | unit("bottleneck", 32 + 4 * width, width, 3)
    if head == "fcn":
        return (
            found
            | unit("convs.0", 32, width, 3)
            | unit("convs.1", width, width, 3)
            | unit("conv_cat", 32 + width, width, 3)
        )
    found |= unit("image_pool.1", 32, width) | unit("aspp_modules.0", 32, width)
    found |= unit("bottleneck", 5 * width, width, 3)
    if head == "deeplabv3":
        for branch in (1, 2, 3):
            found |= unit(f"aspp_modules.{branch}", 32, width, 3)
        return found
    separable = {f"aspp_modules.{branch}": 32 for branch in (1, 2, 3)} | {
        "sep_bottleneck.0": width + 5,
        "sep_bottleneck.1": width,
    }
    for module, inputs in separable.items():
        found |= unit(f"{module}.depthwise_conv", inputs, inputs, 3, groups=inputs)
        found |= unit(f"{module}.pointwise_conv", inputs, width)
    return found | unit("c1_bottleneck", 4, 5)


@pytest.mark.parametrize("head", HEADS)
def test_every_array_finds_its_layer(head, folder):
    arrays = narrow_state(head)
    np.savez(folder / "net.npz", **arrays)
    found = import_weights(folder / "net.npz")
    assert found.source == identify(arrays) == f"mmseg/{head}"
    assert found.unused == ()
    assert found.model.backbone.get_config()["rate_in"] == "first"
    if head.startswith("deeplab"):  # the image level comes first in the file and last in kseg
        kernel = arrays["decode_head.bottleneck.conv.weight"].transpose(2, 3, 1, 0)
        own = np.asarray(found.model.get_layer("projection_conv").kernel)
        np.testing.assert_array_equal(own[:, :, -4:], kernel[:, :, :4])
        np.testing.assert_array_equal(own[:, :, :-4], kernel[:, :, 4:])


@pytest.mark.parametrize("concatenate", [True, False])
def test_an_fcn_of_other_convolutions(concatenate, folder):
    arrays = {key: one for key, one in narrow_state("fcn").items() if "convs.1" not in key}
    if not concatenate:
        arrays = {key: one for key, one in arrays.items() if "conv_cat" not in key}
    np.savez(folder / "net.npz", **arrays)
    found = import_weights(folder / "net.npz")
    assert (found.source, found.model.convolutions, found.model.concatenate) == ("mmseg/fcn", 1, concatenate)


@pytest.mark.parametrize(
    ("head", "key", "words"),
    [
        (
            "pspnet",
            "decode_head.conv_seg.weight",
            "look like mmseg/pspnet.*without decode_head.conv_seg.weight",
        ),
        ("pspnet", "decode_head.psp_modules.0.1.conv.weight", "look like mmseg/pspnet"),
        ("fcn", "backbone.layer1.0.conv1.weight", "look like mmseg/fcn"),
        ("fcn", "backbone.stem.0.weight", "without 'backbone.stem.0.weight'"),
        ("deeplabv3", "decode_head.bottleneck.conv.weight", "without 'decode_head.bottleneck.conv.weight'"),
        ("deeplabv3", "backbone.layer3.1.conv2.weight", "conv4_block2_2_conv/kernel"),
        ("deeplabv3plus", "decode_head.aspp_modules.2.pointwise_conv.bn.bias", "aspp_24_bn/beta"),
    ],
)
def test_a_missing_key_gives_both_lists(head, key, words, folder):
    arrays = narrow_state(head)
    del arrays[key]
    np.savez(folder / "net.npz", **arrays)
    with pytest.raises(
        ModelError, match=f"(?=.*{words}).*(?i:layers that got no array:) .*keys that found no place"
    ):
        import_weights(folder / "net.npz")


def test_pyramids_and_branches_of_other_numbers_ask_for_their_settings(folder):
    arrays = narrow_state("pspnet")
    more = {key.replace(".3.1.", ".4.1."): one for key, one in arrays.items() if "psp_modules.3" in key}
    arrays |= more | {"decode_head.bottleneck.conv.weight": np.ones((4, 52, 3, 3), "f4")}
    np.savez(folder / "net.npz", **arrays)
    with pytest.raises(ModelError, match=r"5 modules .*--set pool_scales=1,2,3,4,5"):
        import_weights(folder / "net.npz")
    found = import_weights(folder / "net.npz", settings={"pool_scales": (1, 2, 3, 6, 8)})
    assert found.model.bins == (1, 2, 3, 6, 8)


def test_what_only_the_name_of_the_file_says():
    source = SOURCES["mmseg/pspnet"]
    assert (
        source.by_name("pspnet_r50-d8_769x769_40k_cityscapes_20200606_112725-86638686.pth")
        == "mmseg/pspnet-corners"
    )
    assert source.by_name("my own.pth") is None
    with pytest.raises(ModelError, match="multi-grid"):
        SOURCES["mmseg/deeplabv3"].by_name("deeplabv3_r101-d16-mg124_512x1024_40k_cityscapes.pth")
