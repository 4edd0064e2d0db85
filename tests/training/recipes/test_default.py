"""The recipe of a training that names none: by model, data set and backbone object, never by parts of a name."""

import keras
import pytest

from kseg.backbones import VGG16
from kseg.models import FCN
from kseg.training import RECIPES
from kseg.training.recipes.default import backbone_name, default_recipe


def on(kind, **facts):
    """Something with a backbone of that class."""
    return type("Model", (), {"backbone": type(kind, (), facts)()})()


LITE0, RESNET50, RESNET101 = (
    on("EfficientNetLite", variant="lite0"),
    on("ResNet", depth=50),
    on("ResNet", depth=101),
)


@pytest.mark.parametrize(
    ("model", "name", "data", "recipe"),
    [
        (LITE0, "fcn8s_efficientnetlite0", "camvid", "camvid_lite0"),
        (LITE0, "fcn32s_efficientnetlite0", "camvid", "camvid_lite0"),  # same backbone and data
        (
            LITE0,
            "deeplabv3plus_efficientnetlite0_stride8",
            "camvid",
            "camvid_lite0",
        ),  # not the finishing recipe
        (LITE0, "a net of one's own", "people", "voc_people_lite0"),
        (LITE0, "fcn8s_efficientnetlite0", "shapes", "shapes_demo"),
        (LITE0, "fcn8s_efficientnetlite0", "folder", "general"),
        (on("EfficientNetLite", variant="lite4"), "x_efficientnetlite0", "camvid", "general"),
        (on("VGG16"), "fcn16s_vgg16", "voc", "general"),
        (on("VGG16"), "fcn8s_vgg16", "voc", "general"),  # the paper's rates are for its own start
        (on("VGG16BatchNorm"), "deconvnet_vgg16", "voc", "general"),  # trained on crops of objects
        (on("DeepLabVGG16"), "deeplabv1_vgg16", "voc", "deeplabv1_voc"),
        (
            on("DeepLabVGG16"),
            "deeplabv1_vgg16_msc",
            "voc",
            "general",
        ),  # a second stage, and a loss of its own
        (RESNET101, "deeplabv2_resnet101", "cityscapes", "general"),  # PSPNet's has a loss of its own
        (RESNET50, "pspnet_resnet50", "cityscapes", "pspnet_cityscapes"),
        (None, "anything", "camvid", "general"),
    ],
)
def test_the_recipe_taken_by_itself(model, name, data, recipe):
    assert default_recipe(model, name, data).name == recipe


def test_none_starts_from_another_training():
    for recipe in RECIPES.values():
        assert not default_recipe(LITE0, recipe.model, recipe.data).starts_from


def test_the_names_of_backbones_are_those_of_real_ones():
    model = FCN(VGG16(widths=(2, 2, 2, 2, 2), filters=4, name="vgg16"), 2, stride=32)
    assert backbone_name(model) == "VGG16"
    assert backbone_name(keras.Sequential([keras.layers.Dense(1)])) == ""
    assert {recipe.backbone for recipe in RECIPES.values()} == {
        "",
        "VGG16",
        "VGG16BatchNorm",
        "DeepLabVGG16",
        "EfficientNetLite lite0",
        "ResNet 50",
        "ResNet 101",
    }
