"""Export: a trained model as a TFLite, ONNX or SavedModel file that was loaded again and compared, or as a page.

The parts are imported when they are first asked for: opening a .tflite file needs neither TensorFlow nor Keras.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kseg.export.auto_precision import Choice, auto
    from kseg.export.check_file import Check, check
    from kseg.export.conversion.int8_budget import Int8Budget
    from kseg.export.conversion.onnx import onnx
    from kseg.export.conversion.tflite import tflite
    from kseg.export.formats import FORMATS, Format, load, read_metadata
    from kseg.export.images import calibration_images
    from kseg.export.page.web import Site, web
    from kseg.export.parity import Parity
    from kseg.export.serving.saved_model import saved_model

_HOMES = {
    "Check": "check_file",
    "Choice": "auto_precision",
    "FORMATS": "formats",
    "Format": "formats",
    "Int8Budget": "conversion.int8_budget",
    "Parity": "parity",
    "Site": "page.web",
    "auto": "auto_precision",
    "calibration_images": "images",
    "check": "check_file",
    "load": "formats",
    "onnx": "conversion.onnx",
    "read_metadata": "formats",
    "saved_model": "serving.saved_model",
    "tflite": "conversion.tflite",
    "web": "page.web",
}

__all__ = [
    "FORMATS",
    "Check",
    "Choice",
    "Format",
    "Int8Budget",
    "Parity",
    "Site",
    "auto",
    "calibration_images",
    "check",
    "load",
    "onnx",
    "read_metadata",
    "saved_model",
    "tflite",
    "web",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kseg.export' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"kseg.export.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
