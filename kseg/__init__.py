"""kseg: semantic segmentation for Keras 3 and TensorFlow.

Importing kseg registers every layer, loss, metric and model under the package name "kseg", so that
``keras.saving.load_model`` finds them. The command line is the one exception: it imports each part when a
verb needs it, so that ``kseg --help`` answers at once.
"""

import importlib
import sys
from pathlib import Path

from kseg.errors import KsegError
from kseg.version import __version__

_PARTS = (
    "ops",
    "layers",
    "backbones",
    "models",
    "weights",
    "losses",
    "metrics",
    "data",
    "training",
    "inference",
    "evaluation",
    "export",
)

__all__ = ["KsegError", "__version__", "predict", "predictor", *_PARTS]


def _is_command() -> bool:
    """Whether this process is ``kseg ...`` or ``python -m kseg ...`` rather than a user's own program."""
    if sys.argv[:1] == ["-m"]:
        original = getattr(sys, "orig_argv", [])
        return "kseg" in original[: original.index("-m") + 2] if "-m" in original else False
    return Path(sys.argv[0]).stem == "kseg" if sys.argv else False


def __getattr__(name: str):
    if name in ("predict", "predictor"):
        return getattr(importlib.import_module("kseg.prediction"), name)
    if name in _PARTS:
        return importlib.import_module(f"kseg.{name}")
    raise AttributeError(f"module 'kseg' has no attribute {name!r}")


def register_all() -> None:
    """Import every part of kseg, which registers its classes with Keras."""
    for part in _PARTS:
        importlib.import_module(f"kseg.{part}")


if not _is_command():
    register_all()
