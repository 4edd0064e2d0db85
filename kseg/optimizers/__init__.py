"""Optimizers with a learning rate for each part of a network, and learning-rate schedules."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.optimizers.optimizers import SGD, AdamW
    from kseg.optimizers.rates import with_learning_rates
    from kseg.optimizers.schedules import Poly, Step

_HOMES = {
    "AdamW": "optimizers",
    "Poly": "schedules",
    "SGD": "optimizers",
    "Step": "schedules",
    "with_learning_rates": "rates",
}

__all__ = ["SGD", "AdamW", "Poly", "Step", "with_learning_rates"]

__getattr__, __dir__ = on_demand(__name__, _HOMES)
