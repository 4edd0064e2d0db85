"""Training: recipes, optimizers, schedules, callbacks, and `fit`."""

from kseg.training.batch_norm_statistics import reestimate_batch_norm
from kseg.training.callbacks import Checkpoint, MetricsCsv, Progress, StopOnNaN, read_metrics
from kseg.training.distribution.strategy import strategy, synchronised_batch_norm
from kseg.training.fit import fit
from kseg.training.initialise import Initialised, initialise_from
from kseg.training.optimization.optimizers import SGD, AdamW
from kseg.training.optimization.schedules import Poly, Step
from kseg.training.recipes import RECIPES
from kseg.training.recipes.recipe import Recipe
from kseg.training.tensorboard import TensorBoard
from kseg.training.twin import Twin, training_twin

__all__ = [
    "RECIPES",
    "SGD",
    "AdamW",
    "Checkpoint",
    "Initialised",
    "MetricsCsv",
    "Poly",
    "Progress",
    "Recipe",
    "Step",
    "StopOnNaN",
    "TensorBoard",
    "Twin",
    "fit",
    "initialise_from",
    "read_metrics",
    "reestimate_batch_norm",
    "strategy",
    "synchronised_batch_norm",
    "training_twin",
]
