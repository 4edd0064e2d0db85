"""Every default that a paper or its released files fix, as a value."""

import inspect

import pytest

from kseg import backbones, data, layers, models, training
from kseg.models import catalog, fcn

# Callable -> its defaults, and where they are published.
DEFAULTS = {
    # Zhao et al. 2017, section 3.2 and table 1; section 5.2 for the dropout of the released prototxt
    models.PSPNet: {"bins": (1, 2, 3, 6), "filters": 512, "mode": "average", "reduce": True, "dropout": 0.1},
    layers.PyramidPooling: {"bins": (1, 2, 3, 6), "mode": "average", "reduce": True},
    # Chen et al. 2015, table 2: LargeFOV; released train.prototxt
    backbones.DeepLabVGG16: {
        "kernel": 3, "rate": 12, "filters": 1024, "pool_size": 3, "average": True, "dropout": 0.5,
        "mean": (122.675, 116.669, 104.008), "widths": (64, 128, 256, 512, 512),
    },
    # Chen et al. 2017 (v2), section 4.1.2: ASPP-L
    models.DeepLabV2: {"rates": (6, 12, 18, 24), "hidden": None, "dropout": 0.5},
    layers.AtrousSpatialPyramidPooling: {"rates": (6, 12, 18, 24), "hidden": None, "dropout": 0.5},
    models.MultiScale: {"scales": (0.5, 0.75, 1.0)},
    # Chen et al. 2017 (v3), section 3.3, at output stride 8
    models.DeepLabV3: {"rates": (12, 24, 36), "filters": 256},
    # Chen et al. 2018, sections 3.1 and 4.1
    models.DeepLabV3Plus: {
        "rates": (6, 12, 18), "filters": 256, "low_level": "stage2", "low_level_filters": 48,
        "decoder_convolutions": 2, "decoder_kernel": 3, "projection": 1,
    },
    # Howard et al. 2019, figure 10
    models.LRASPP: {"filters": 128, "low_level": "stage3"},
    # Shelhamer et al. 2017, section 4; simonyan's VGG16
    models.FCN: {"stride": 8, "learned_upsampling": "none", "skip_scales": (1.0, 1.0)},
    backbones.VGG16: {
        "widths": (64, 128, 256, 512, 512), "filters": 4096, "dropout": 0.5, "mean": (123.68, 116.779, 103.939),
    },
    # Noh et al. 2015: fc6 of 7x7 and 4096 channels; the release's Gaussian
    backbones.VGG16BatchNorm: {
        "widths": (64, 128, 256, 512, 512), "filters": 4096, "fc6_padding": "valid",
        "mean": (123.68, 116.779, 103.939),
    },
    models.DeconvNet: {"kernel_std": 0.01},
    # Keras's own defaults, but for what the papers add: no multiplier of biases unless asked for
    training.SGD: {"momentum": 0.9, "bias_multiplier": 1.0, "l2": 0.0, "nesterov": False},
    training.AdamW: {"bias_multiplier": 1.0},
    training.Poly: {"power": 0.9},
    training.Step: {"factor": 0.1},
}  # fmt: skip


@pytest.mark.parametrize("function", DEFAULTS, ids=lambda f: f.__name__)
def test_defaults(function):
    parameters = inspect.signature(function).parameters
    assert {name: parameters[name].default for name in DEFAULTS[function]} == DEFAULTS[function]


def test_vgg16_has_2_2_3_3_3_convolutions_and_a_7x7_fc6():
    net = backbones.VGG16(widths=(1, 1, 1, 1, 1), filters=1)
    names = [layer.name for layer in net.layers if "_conv" in layer.name]
    assert [sum(name.startswith(f"block{b}_") for name in names) for b in range(1, 6)] == [2, 2, 3, 3, 3]
    assert net.get_layer("fc6").kernel_size == (7, 7)
    assert [net.get_layer(name).rate for name in ("drop6", "drop7")] == [0.5, 0.5]


def test_fcns_crop_offsets_are_the_releases():
    """voc-fcn32s/16s/8s/net.py, for an image padded by 100."""
    assert fcn.CROPS == {32: (19,), 16: (5, 27), 8: (5, 9, 31)}
    model = models.FCN(backbones.VGG16(widths=(1, 1, 1, 1, 1), filters=1, padding="original"), 2, stride=8)
    found = [model.get_layer(name).offset for name in ("crop_pool4", "crop_pool3", "logits")]
    assert found == [5, 9, 31]
    assert model.get_layer("upsampling_pool4").kernel_size == 4
    assert model.get_layer("upsampling_8s").kernel_size == 16
    # 99 and the first convolution's own 1 make Caffe's pad of 100
    assert model.get_layer("pad").padding == ((99, 99), (99, 99))


def test_deeplab_vgg_dilates_conv5_by_2_and_fc6_by_12():
    net = backbones.DeepLabVGG16(widths=(1, 1, 1, 1, 1), filters=1)
    assert [net.get_layer(f"block5_conv{n}").rate for n in (1, 2, 3)] == [(2, 2)] * 3
    assert net.get_layer("fc6").rate == (12, 12)
    assert [net.get_layer(f"block{b}_pool").strides[0] for b in range(1, 6)] == [2, 2, 2, 1, 1]


def test_catalogs_nets_are_the_papers():
    keywords = {name: entry.keywords for name, entry in catalog.CATALOG.items()}
    assert keywords["deeplabv1_vgg16_4x4"] == {"kernel": 4, "rate": 8, "filters": 4096, "average": False}
    assert keywords["deeplabv1_vgg16_7x7"] == {"kernel": 7, "rate": 4, "filters": 4096, "average": False}
    assert keywords["deeplabv2_vgg16"] == {"rates": (6, 12, 18, 24)}
    assert keywords["deeplabv2_vgg16_aspp_s"] == {"rates": (2, 4, 8, 12)}
    assert keywords["fcn8s_atonce_vgg16"] == {"stride": 8, "skip_scales": (0.01, 0.0001)}


def test_recipes_of_pspnet_weigh_the_auxiliary_loss_by_0_4():
    """Zhao et al. 2017, section 3.3."""
    found = {n: r.auxiliary_weight for n, r in training.RECIPES.items() if n.startswith("pspnet")}
    assert found
    assert {weight for weight in found.values() if weight is not None} == {0.4}


def test_edge_box_crops_take_2000_proposals():
    """Noh et al. 2015, section 4.2: 2000 proposals an image."""
    assert inspect.signature(data.crops.proposal_crops).parameters["count"].default == 2000
