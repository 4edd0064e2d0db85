"""Data sets, and the one pipeline that reads, augments and batches them."""

from kseg.data.augment import Augment
from kseg.data.catalog import Description, datasets, load
from kseg.data.dataset import Dataset, Sample
from kseg.data.files import read_image, read_mask
from kseg.data.pipeline import find_user_error, pipeline, user_errors

__all__ = [
    "Augment",
    "Dataset",
    "Description",
    "Sample",
    "datasets",
    "find_user_error",
    "load",
    "pipeline",
    "read_image",
    "read_mask",
    "user_errors",
]
