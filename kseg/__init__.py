"""kseg: semantic segmentation for Keras 3 and TensorFlow.

Importing kseg registers every layer, loss, metric and model under the package name "kseg", so that
`keras.saving.load_model` finds them. The command line (`kseg_command.py`) is the one exception: it imports each part
when a verb needs it, so that `kseg --help` answers at once.
"""

import importlib
import re
import sys
from typing import Any

from kseg.errors import KsegError
from kseg.parts import import_all
from kseg.version import __version__

_PARTS = (
    "ops",
    "layers",
    "backbones",
    "models",
    "weights",
    "losses",
    "metrics",
    "optimizers",
    "data",
    "training",
    "inference",
    "evaluation",
    "export",
)

__all__ = ["KsegError", "__version__", "predict", "predictor", *_PARTS]


def __getattr__(name: str) -> Any:
    if name in ("predict", "predictor"):
        return getattr(importlib.import_module("kseg.prediction"), name)
    if name in _PARTS:
        return importlib.import_module(f"kseg.{name}")
    raise AttributeError(f"module 'kseg' has no attribute {name!r}")


def register_all() -> None:
    """Import every part of kseg with all that it offers, which registers its classes with Keras."""
    for part in _PARTS:
        import_all(f"kseg.{part}")


def _is_command() -> bool:
    """Whether this process is the command: `kseg ...` by its entry module, or `python -m kseg ...`."""
    if "kseg_command" in sys.modules:
        return True
    words = iter(sys.orig_argv[1:])  # of the interpreter: its options, then -m and a module
    for word in words:
        if word in ("-X", "-W"):
            next(words, None)
        elif found := re.fullmatch(r"-[bBdEiIOPqsSuvx]*m(.*)", word):
            return (found[1] or next(words, "")) == "kseg"
        elif not word.startswith("-") or word.startswith("-c"):
            return False
    return False


if not _is_command():
    register_all()
