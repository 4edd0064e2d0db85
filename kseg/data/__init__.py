"""Data sets, and the one pipeline that reads, augments and batches them."""

from typing import TYPE_CHECKING

from kseg.parts import on_demand

if TYPE_CHECKING:
    from kseg.data.annotations.coco import from_coco, to_coco
    from kseg.data.annotations.convert import convert
    from kseg.data.annotations.cvat import from_cvat
    from kseg.data.annotations.labelme import from_labelme
    from kseg.data.annotations.roboflow import from_roboflow
    from kseg.data.annotations.yolo import from_yolo
    from kseg.data.augment import Augment
    from kseg.data.batches import pipeline, user_errors
    from kseg.data.catalog import Description, datasets, load
    from kseg.data.checks import check
    from kseg.data.crops import object_crops, proposal_crops
    from kseg.data.dataset import Dataset
    from kseg.data.findings import Finding, Findings
    from kseg.data.loader import Loader
    from kseg.data.pairs import Sample
    from kseg.data.reading.files import read_image, read_mask
    from kseg.data.sources.arrays import from_arrays, from_generator
    from kseg.data.sources.as_dataset import as_dataset
    from kseg.data.sources.folder import from_pairs
    from kseg.data.sources.unlabelled import unlabelled
    from kseg.data.statistics import Histogram, class_histogram, median_frequency_weights

_HOMES = {
    "Augment": "augment",
    "Dataset": "dataset",
    "Description": "catalog",
    "Finding": "findings",
    "Findings": "findings",
    "Histogram": "statistics",
    "Loader": "loader",
    "Sample": "pairs",
    "as_dataset": "sources.as_dataset",
    "check": "checks",
    "class_histogram": "statistics",
    "convert": "annotations.convert",
    "datasets": "catalog",
    "find_user_error": "kseg.errors",
    "from_arrays": "sources.arrays",
    "from_coco": "annotations.coco",
    "from_cvat": "annotations.cvat",
    "from_generator": "sources.arrays",
    "from_labelme": "annotations.labelme",
    "from_pairs": "sources.folder",
    "from_roboflow": "annotations.roboflow",
    "from_yolo": "annotations.yolo",
    "load": "catalog",
    "median_frequency_weights": "statistics",
    "object_crops": "crops",
    "pipeline": "batches",
    "proposal_crops": "crops",
    "read_image": "reading.files",
    "read_mask": "reading.files",
    "to_coco": "annotations.coco",
    "unlabelled": "sources.unlabelled",
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
    "as_dataset",
    "check",
    "class_histogram",
    "convert",
    "datasets",
    "find_user_error",
    "from_arrays",
    "from_coco",
    "from_cvat",
    "from_generator",
    "from_labelme",
    "from_pairs",
    "from_roboflow",
    "from_yolo",
    "load",
    "median_frequency_weights",
    "object_crops",
    "pipeline",
    "proposal_crops",
    "read_image",
    "read_mask",
    "to_coco",
    "unlabelled",
    "user_errors",
]

__getattr__, __dir__ = on_demand(__name__, _HOMES)
