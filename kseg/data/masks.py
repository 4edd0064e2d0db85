"""What is checked of a mask beside its image: that both have one size, and that every id is a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kseg.errors import DataError
from kseg.io.bands import BYTES

if TYPE_CHECKING:
    from kseg.data.dataset import Dataset


class Kind(NamedTuple):
    """What a data set's images and masks are; see `Dataset`."""

    channels: int
    value_range: tuple[float, float]
    multilabel: bool


def kind_of(dataset: Any) -> Kind:
    """The kind of a data set; RGB of 0-255 and one class a pixel where it does not say."""
    values = tuple(getattr(dataset, "value_range", BYTES))
    return Kind(getattr(dataset, "channels", 3), values, getattr(dataset, "multilabel", False))


def check_ids(labels: np.ndarray, dataset: Dataset, where: str) -> None:
    """DataError, which begins with `where`, for ids that are neither a class nor ignored.

    Of a data set whose classes overlap the values are 0, 1 or ignored.
    """
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
    most = 2 if dataset.multilabel else dataset.num_classes
    unknown = [str(i) for i in present if i >= most and i != dataset.ignore_label]
    if unknown and dataset.multilabel:
        raise DataError(
            f"{where}: the value {', '.join(unknown)} in the mask of a class, where 0 and 1 are expected, and "
            f"{dataset.ignore_label} for ignored pixels"
        )
    if unknown:
        raise DataError(
            f"{where}: class id {', '.join(unknown)} in the mask, but {dataset.name} has the classes 0 to "
            f"{dataset.num_classes - 1}, and {dataset.ignore_label} for ignored pixels: correct the mask or "
            "the class list"
        )


def size_mismatch(
    image_file: str, image_size: tuple[int, ...], mask_file: str, mask_size: tuple[int, ...]
) -> str:
    """The message for a mask of another size than its image; sizes are (height, width)."""
    hint = ""
    if tuple(image_size) == tuple(mask_size)[::-1]:
        hint = " (one lies on its side: images are turned as their EXIF orientation says, masks never)"
    return (
        f"{mask_file}: the mask has {mask_size[0]}x{mask_size[1]} pixels (height x width), but its image "
        f"{image_file} has {image_size[0]}x{image_size[1]}: both must have the same size{hint}"
    )
