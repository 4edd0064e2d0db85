"""Losses that Keras lacks."""

from kseg.losses.cross_entropy import CrossEntropy

__all__ = ["CrossEntropy"]
