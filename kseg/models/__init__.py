"""Segmentation networks, one paper a file, and the catalog of their names."""

from kseg.models.catalog import build, describe, names
from kseg.models.deconvnet import DeconvNet
from kseg.models.fcn import FCN
from kseg.models.load import load
from kseg.models.segmenter import Segmenter

__all__ = ["DeconvNet", "FCN", "Segmenter", "build", "describe", "load", "names"]
