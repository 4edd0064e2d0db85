"""Inference: a NumPy image in, a label map of the same size out; files, overlays and legends."""

from kseg.inference import draw
from kseg.inference.crf import DenseCRF
from kseg.inference.images import Summary, predict_files
from kseg.inference.predictor import Predictor

__all__ = ["DenseCRF", "Predictor", "Summary", "draw", "predict_files"]
