"""Losses of label maps with an ignored label."""

from kseg.losses.cross_entropy import CrossEntropy
from kseg.losses.keras_loss import KerasLoss
from kseg.losses.map_loss import MapLoss

__all__ = ["CrossEntropy", "KerasLoss", "MapLoss"]
