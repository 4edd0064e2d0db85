"""Data sets, and the one pipeline that reads, augments and batches them."""

from kseg.data.augment import Augment
from kseg.data.catalog import Description, datasets, load
from kseg.data.checks import check
from kseg.data.crops import object_crops, proposal_crops
from kseg.data.dataset import Dataset, Sample
from kseg.data.findings import Finding, Findings
from kseg.data.loader import Loader
from kseg.data.pipeline import find_user_error, pipeline, user_errors
from kseg.data.reading.files import read_image, read_mask
from kseg.data.sources.arrays import from_arrays, from_generator
from kseg.data.sources.folder import from_pairs
from kseg.data.statistics import Histogram, class_histogram, median_frequency_weights

__all__ = [
    "Augment",
    "Dataset",
    "Description",
    "Finding",
    "Findings",
    "Histogram",
    "Loader",
    "Sample",
    "check",
    "class_histogram",
    "datasets",
    "find_user_error",
    "from_arrays",
    "from_generator",
    "from_pairs",
    "load",
    "median_frequency_weights",
    "object_crops",
    "pipeline",
    "proposal_crops",
    "read_image",
    "read_mask",
    "user_errors",
]
