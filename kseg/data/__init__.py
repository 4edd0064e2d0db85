"""Data sets, and the one pipeline that reads, augments and batches them."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.data.augment import Augment
    from kseg.data.batches import find_user_error, pipeline, user_errors
    from kseg.data.catalog import Description, datasets, load
    from kseg.data.checks import check
    from kseg.data.crops import object_crops, proposal_crops
    from kseg.data.dataset import Dataset, Sample
    from kseg.data.findings import Finding, Findings
    from kseg.data.loader import Loader
    from kseg.data.reading.files import read_image, read_mask
    from kseg.data.sources.arrays import from_arrays, from_generator
    from kseg.data.sources.folder import from_pairs
    from kseg.data.statistics import Histogram, class_histogram, median_frequency_weights

_HOMES = {
    "Augment": "augment",
    "Dataset": "dataset",
    "Description": "catalog",
    "Finding": "findings",
    "Findings": "findings",
    "Histogram": "statistics",
    "Loader": "loader",
    "Sample": "dataset",
    "check": "checks",
    "class_histogram": "statistics",
    "datasets": "catalog",
    "find_user_error": "batches",
    "from_arrays": "sources.arrays",
    "from_generator": "sources.arrays",
    "from_pairs": "sources.folder",
    "load": "catalog",
    "median_frequency_weights": "statistics",
    "object_crops": "crops",
    "pipeline": "batches",
    "proposal_crops": "crops",
    "read_image": "reading.files",
    "read_mask": "reading.files",
    "user_errors": "batches",
}

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

__getattr__, __dir__ = on_demand(__name__, _HOMES)
