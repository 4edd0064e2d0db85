import pytest

from kseg.errors import SettingsError
from kseg.training import RECIPES, Recipe


def test_deconvnet_as_released():
    """Noh et al. 2015 and the released solvers: 64 crops a step, steps and rates of the two stages."""
    for name, steps, drop, crops in (
        ("deconvnet_stage1", 20_000, 9000, "objects"),
        ("deconvnet_stage2", 40_000, 10_000, "proposals"),
    ):
        recipe = RECIPES[name]
        assert recipe.epochs * recipe.steps_per_epoch == steps
        assert (recipe.schedule.name, recipe.step_every, recipe.learning_rate) == ("step", drop, 0.01)
        assert (recipe.optimizer.name, recipe.momentum, recipe.weight_decay) == ("sgd", 0.9, 5e-4)
        assert (recipe.batch_size, recipe.accumulate) == (8, 8)
        assert (recipe.size, recipe.mirror, recipe.crops) == ((224, 224), True, crops)
        assert recipe.scale == (1, 1)


@pytest.mark.parametrize(
    ("short", "model"), [("small", "deconvnet_small"), ("lite0", "deconvnet_efficientnetlite0")]
)
def test_the_stages_differ_in_where_crops_come_from(short, model):
    first, second = RECIPES[f"deconvnet_{short}_stage1"], RECIPES[f"deconvnet_{short}_stage2"]
    assert (first.crops, second.crops) == ("objects", "proposals")
    assert first.size == second.size
    assert first.model == second.model == model
    assert second.starts_from == first.name


def test_other_crops_are_refused():
    with pytest.raises(SettingsError, match="objects, proposals"):
        Recipe(crops="boxes")
