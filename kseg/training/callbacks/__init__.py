"""Keras callbacks of a training run, one a file."""

from kseg.training.callbacks.checkpoint import Checkpoint, Every
from kseg.training.callbacks.history import History
from kseg.training.callbacks.metrics_csv import MetricsCsv, read_metrics
from kseg.training.callbacks.progress import Progress
from kseg.training.callbacks.stop_on_nan import StopOnNaN
from kseg.training.callbacks.tensorboard import TensorBoard

__all__ = [
    "Checkpoint",
    "Every",
    "History",
    "MetricsCsv",
    "Progress",
    "StopOnNaN",
    "TensorBoard",
    "read_metrics",
]
