from kseg.data import datasets
from kseg.models import names
from kseg.training import RECIPES
from kseg.training.recipes.default import default_recipe


def test_the_recipe_of_the_preset_is_taken_for_its_data():
    recipe = RECIPES["people_lite0"]
    assert recipe.model in names()
    assert recipe.data in datasets()
    assert default_recipe(None, recipe.model, recipe.data) is recipe


def test_the_images_are_changed_and_the_weights_averaged():
    """Webcams differ in light and framing; averaged weights need validation, which the recipe has."""
    for name in ("people_lite0", "people_lite0_longer"):
        recipe = RECIPES[name]
        assert recipe.mirror
        assert min(recipe.rotate, recipe.contrast, recipe.saturation) > 0
        assert 0.9 < recipe.ema < 1
        assert recipe.epochs % recipe.validate_every == 0
