"""The recipes of this package, one constant a published or measured result."""

from kseg.training.recipes.deconvnet import DECONVNET_RECIPES
from kseg.training.recipes.deeplab import DEEPLAB_RECIPES
from kseg.training.recipes.fcn import FCN_RECIPES
from kseg.training.recipes.people import PEOPLE_RECIPES
from kseg.training.recipes.pspnet import PSPNET_RECIPES
from kseg.training.recipes.recipe import Recipe

RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (*FCN_RECIPES, *DECONVNET_RECIPES, *DEEPLAB_RECIPES, *PSPNET_RECIPES, *PEOPLE_RECIPES)
}

__all__ = ["RECIPES", "Recipe"]
