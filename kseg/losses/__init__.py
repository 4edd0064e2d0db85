"""Losses of label maps with an ignored label."""

from kseg.losses.boundary_cross_entropy import BoundaryCrossEntropy
from kseg.losses.cross_entropy import CrossEntropy
from kseg.losses.dice import Dice
from kseg.losses.focal import Focal
from kseg.losses.jaccard import Jaccard
from kseg.losses.keras_loss import KerasLoss
from kseg.losses.lovasz import Lovasz
from kseg.losses.map_loss import MapLoss
from kseg.losses.tversky import Tversky
from kseg.losses.weighted_sum import WeightedSum

__all__ = [
    "BoundaryCrossEntropy",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Jaccard",
    "KerasLoss",
    "Lovasz",
    "MapLoss",
    "Tversky",
    "WeightedSum",
]
