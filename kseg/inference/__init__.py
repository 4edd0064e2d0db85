"""Inference: a NumPy image in, a label map of the same size out; files, overlays and legends."""

from kseg.inference import draw
from kseg.inference.images import Summary, predict_files
from kseg.inference.predictor import Predictor

__all__ = ["Predictor", "Summary", "draw", "predict_files"]
