"""Export: a trained model as a TFLite, ONNX or SavedModel file that was loaded again and compared, or as a page."""

from kseg.export.auto import Choice, auto
from kseg.export.check import Check, check
from kseg.export.images import calibration_images
from kseg.export.metadata import read_metadata
from kseg.export.onnx import onnx
from kseg.export.page.web import Site, web
from kseg.export.parity import Parity
from kseg.export.runtime import load
from kseg.export.serving.saved_model import saved_model
from kseg.export.tflite import tflite

__all__ = [
    "Check",
    "Choice",
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
