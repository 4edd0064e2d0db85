"""The recipes hold what their sources say."""

from kseg.data import Augment
from kseg.models import names
from kseg.training import RECIPES, Recipe


def test_every_recipe_is_complete():
    known = set(names())
    for name, recipe in RECIPES.items():
        assert recipe.name == name
        assert recipe.model in known, name
        assert recipe.source, name
        assert Recipe.from_json(recipe.to_json()) == recipe
        Augment(recipe.scale, recipe.mirror, recipe.rotate, recipe.jitter, recipe.blur, recipe.brightness)


def test_fcn_as_released():
    rates = {
        "fcn_paper_32s": 1e-10,
        "fcn_paper_16s": 1e-12,
        "fcn_paper_8s": 1e-14,
        "fcn_paper_8s_atonce": 1e-10,
    }
    for name, rate in rates.items():
        recipe = RECIPES[name]
        assert recipe.learning_rate == rate
        assert (recipe.optimizer.name, recipe.momentum, recipe.weight_decay) == ("sgd", 0.99, 5e-4)
        assert (recipe.schedule.name, recipe.reduction, recipe.bias_multiplier) == ("constant", "sum", 2)
        assert (recipe.size, recipe.batch_size, recipe.scale, recipe.mirror) == (None, 1, (1, 1), False)
        steps = 300_000 if name.endswith("atonce") else 100_000
        assert recipe.epochs * recipe.steps_per_epoch == steps
