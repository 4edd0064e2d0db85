"""Masks beside their images: of one size, with ids that are classes; and several masks, one a class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kseg.errors import DataError
from kseg.io.bands import BYTES
from kseg.io.image_file import MAX_PIXELS
from kseg.io.masks import read_mask

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
        holds = np.isin(labels, list(map(int, unknown))).any(axis=(0, 1))
        name = dataset.classes[int(holds.argmax())]
        raise DataError(
            f"{where}: the value {', '.join(unknown)} in the mask of class {name}, where 0 and 1 are expected, and "
            f"{dataset.ignore_label} for ignored pixels"
        )
    if unknown:
        one = " (one class beside a background is two: name both)" if dataset.num_classes == 1 else ""
        raise DataError(
            f"{where}: class id {', '.join(unknown)} in the mask, but {dataset.name} has the classes 0 to "
            f"{dataset.num_classes - 1}{one}, and {dataset.ignore_label} for ignored pixels: correct the mask or "
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


def read_masks(paths: Sequence[Path], num_classes: int, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The masks of classes that overlap, one file a class, as uint8 `(height, width, classes)`.

    Raises:
        DataError: another number of files than of classes, files of different sizes, and as `read_mask`.
    """
    if len(paths) != num_classes:
        raise DataError(f"{paths[0] if paths else 'masks'}: {len(paths)} mask file(s) for {num_classes} classes")
    parts = [read_mask(path, max_pixels) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if part.shape != parts[0].shape:
            sizes = " and ".join("{}x{}".format(*one.shape) for one in (part, parts[0]))
            raise DataError(f"{path} and {paths[0]}: masks of one image have different sizes, {sizes} pixels")
    return np.stack(parts, axis=-1)
