import pytest

from kseg.training import RECIPES


@pytest.mark.parametrize(
    ("name", "steps", "batch", "rate"),
    [
        ("deeplabv1_voc", 6000, 30, 1e-3),
        ("deeplabv1_voc_msc", 6000, 30, 1e-3),
        ("deeplabv2_voc_vgg16", 20_000, 10, 1e-3),
        ("deeplabv2_voc_vgg16_s", 20_000, 10, 1e-3),
        ("deeplabv2_voc_resnet101", 20_000, 10, 2.5e-4),
    ],
)
def test_deeplab_as_released(name, steps, batch, rate):
    """Chen et al. 2015 and 2017 and the released solvers; score layers at 10 times the rate, their biases at 20."""
    recipe = RECIPES[name]
    assert recipe.epochs * recipe.steps_per_epoch == steps
    assert (recipe.batch_size * recipe.accumulate, recipe.learning_rate) == (batch, rate)
    assert (recipe.optimizer.name, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 5e-4)
    assert (recipe.head_multiplier, recipe.bias_multiplier) == (10, 2)
    assert (recipe.size, recipe.mirror, recipe.label_stride, recipe.data) == ((321, 321), True, 8, "voc")
    schedule = ("step", 2000) if "v1" in name else ("poly", None)
    assert (recipe.schedule.name, recipe.step_every) == schedule


def test_what_the_forms_add():
    resnet, msc = RECIPES["deeplabv2_voc_resnet101"], RECIPES["deeplabv1_voc_msc"]
    assert resnet.input_scales == (0.5, 0.75, 1)
    assert resnet.scale == (0.5, 1.5)
    assert (msc.freeze_backbone, msc.starts_from) == (True, "deeplabv1_voc")
    assert RECIPES["deeplabv2_voc_vgg16_s"].model == "deeplabv2_vgg16_aspp_s"
