"""The PSPNet recipes against the authors' configuration files and table of results."""

import pytest

from kseg.data import datasets
from kseg.training import RECIPES
from kseg.training.recipes.pspnet import PSPNET_RECIPES

# data set, layers: crop, epochs, single-scale mean IoU in per cent (hszhao/semseg, config/ and README)
PUBLISHED = {
    ("ade20k", 50): (473, 100, 41.89),
    ("ade20k", 101): (473, 100, 43.10),
    ("voc", 50): (473, 50, 77.05),
    ("voc", 101): (473, 50, 79.07),
    ("cityscapes", 50): (713, 200, 77.30),
    ("cityscapes", 101): (713, 200, 78.63),
}


@pytest.mark.parametrize(("data", "layers"), PUBLISHED)
def test_as_published(data, layers):
    crop, epochs, score = PUBLISHED[data, layers]
    recipe = next(r for r in PSPNET_RECIPES if (r.data, r.model) == (data, f"pspnet_resnet{layers}"))
    assert RECIPES[recipe.name] is recipe
    assert recipe.data in datasets()
    assert (recipe.size, recipe.epochs) == ((crop, crop), epochs)
    assert recipe.expected_score == pytest.approx(score / 100)
    assert str(score) in recipe.source
    assert (recipe.optimizer.name, recipe.learning_rate, recipe.momentum) == ("sgd", 0.01, 0.9)
    assert (recipe.weight_decay, recipe.schedule.name, recipe.power) == (1e-4, "poly", 0.9)
    assert (recipe.batch_size, recipe.auxiliary_weight, recipe.head_multiplier) == (16, 0.4, 10)
    assert (recipe.scale, recipe.mirror, recipe.rotate) == ((0.5, 2), True, 10)
    assert recipe.blur == pytest.approx(0.3 * ((5 - 1) / 2 - 1) + 0.8)  # OpenCV's for a kernel of 5
    assert (recipe.warmup_steps, recipe.jitter, recipe.label_stride) == (0, 0, None)
