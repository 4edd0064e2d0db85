"""Training: recipes, optimizers, schedules, callbacks, and `fit`."""

from kseg.optimizers import SGD, AdamW, Poly, Step
from kseg.training.batch_norm_statistics import reestimate_batch_norm
from kseg.training.callbacks import (
    Checkpoint,
    History,
    MetricsCsv,
    Progress,
    StopOnNaN,
    TensorBoard,
    read_metrics,
)
from kseg.training.distribution.strategy import strategy, synchronised_batch_norm
from kseg.training.fit import fit
from kseg.training.initialise import Initialised, initialise_from
from kseg.training.objective import Objective, objective_of
from kseg.training.recipes import RECIPES
from kseg.training.recipes.default import default_recipe
from kseg.training.recipes.parts import OptimizerSettings, ScheduleSettings
from kseg.training.recipes.recipe import Recipe
from kseg.training.teacher import Teacher
from kseg.training.trainer import Trainer

__all__ = [
    "RECIPES",
    "SGD",
    "AdamW",
    "Checkpoint",
    "History",
    "Initialised",
    "MetricsCsv",
    "Objective",
    "OptimizerSettings",
    "Poly",
    "Progress",
    "Recipe",
    "ScheduleSettings",
    "Step",
    "StopOnNaN",
    "Teacher",
    "TensorBoard",
    "Trainer",
    "default_recipe",
    "fit",
    "initialise_from",
    "objective_of",
    "read_metrics",
    "reestimate_batch_norm",
    "strategy",
    "synchronised_batch_norm",
]

# Their names in the first house.
Twin, training_twin = Objective, objective_of
