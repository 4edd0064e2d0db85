"""Masks beside their images: of one size, with ids that are classes; and several masks, one a class."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kseg.errors import DataError, KsegWarning
from kseg.io.bands import BYTES
from kseg.io.image_file import MAX_PIXELS
from kseg.io.masks import only_white, read_mask

if TYPE_CHECKING:
    from kseg.data.dataset import Dataset

IGNORE_LABEL = 255


class Kind(NamedTuple):
    """What a data set's images and masks are; see `Dataset`."""

    channels: int
    value_range: tuple[float, float]
    multilabel: bool


def kind_of(dataset: Any) -> Kind:
    """The kind of a data set; RGB of 0-255 and one class a pixel where it does not say."""
    values = tuple(getattr(dataset, "value_range", BYTES))
    return Kind(getattr(dataset, "channels", 3), values, getattr(dataset, "multilabel", False))


def count_classes(
    masks: Iterable[tuple[str, np.ndarray]], name: str, ignore_label: int = IGNORE_LABEL, *, strict: bool = True
) -> int:
    """How many classes masks show: one more than their highest id, where every id from 1 up to it occurs.

    Args:
        masks: pairs of what a mask is called and its ids, uint8 of any shape.
        name: of the data set.
        ignore_label: the id of pixels that do not count.
        strict: False warns of ids without others below, where nobody can say how many classes there are.

    Raises:
        DataError: an id beyond others that no mask has, which may be a stray, or nothing but 0 and ignored pixels.
    """
    first: dict[int, str] = {}
    for where, mask in masks:
        for label in np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist():
            first.setdefault(label, where)
    ignored = first.pop(ignore_label, None)
    highest = max(first, default=0)
    if highest == 0 and ignored is not None and ignore_label == IGNORE_LABEL:
        raise DataError(
            f"{name}: the masks hold only 0 and 255, and 255 means ignored: store the classes as 0 and 1, or name them"
        )
    if missing := [str(label) for label in range(1, highest) if label not in first]:
        listed = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        told = f"{first[highest]}: class id {highest} in the mask, and no mask of {name} has {listed}"
        if strict:
            raise DataError(
                f"{told}: correct the mask, or say that there are so many classes (classes={highest + 1}; where that "
                f"is no argument, give kseg.data.as_dataset(data, classes={highest + 1}))"
            )
        warnings.warn(f"{told}; all {highest + 1} are taken for classes", KsegWarning, stacklevel=3)
    return highest + 1


def readable(read: Callable[[Any], np.ndarray], masks: Iterable[Any]) -> Iterator[np.ndarray]:
    """Masks as `read` reads them, without those that it refuses: they are refused when they are used."""
    for mask in masks:
        with contextlib.suppress(DataError):
            yield read(mask)


def white_as_class(masks: Iterable[np.ndarray], dataset: Dataset) -> Dataset:
    """The data set with 255 as class 1, and a warning that says so, if it has two classes and its masks only 0 and 255.

    Where classes overlap, 255 is where a class is.
    """
    two = dataset.multilabel or dataset.num_classes == 2
    if not two or dataset.ignore_label != IGNORE_LABEL or dataset.stored_ids or not only_white(masks):
        return dataset
    what = "where a class is" if dataset.multilabel else f"class 1, {dataset.classes[1]}"
    warnings.warn(
        f"{dataset.name}: all masks hold only 0 and 255, so 255 is taken for {what}, and no pixel is ignored; "
        "where it means ignored, say so: kseg.data.as_dataset(data, ignore_label=255)",
        KsegWarning,
        stacklevel=3,
    )
    return replace(dataset, stored_ids=((IGNORE_LABEL, 1),))


def check_channels(mask: np.ndarray, dataset: Dataset, where: str) -> None:
    """DataError, which begins with `where`, for a mask without one channel for each of the classes that overlap."""
    if dataset.multilabel and mask.shape[2:] != (dataset.num_classes,):
        raise DataError(
            f"{where}: a mask of shape {mask.shape}, where {dataset.name} has {dataset.num_classes} classes that "
            f"overlap: expected (height, width, {dataset.num_classes}), a channel for each of "
            f"{', '.join(dataset.classes)}"
        )


def check_ids(labels: np.ndarray, dataset: Dataset, where: str) -> None:
    """DataError, which begins with `where`, for ids that are neither a class nor ignored.

    Of a data set whose classes overlap the values are 0, 1 or ignored.
    """
    most = 2 if dataset.multilabel else dataset.num_classes
    known = (labels >= 0) & (labels < most)  # no NaN is
    if labels.dtype.kind == "f":
        known &= labels == np.floor(labels)
    strange = labels[~known & (labels != dataset.ignore_label)]
    if not strange.size:
        return
    unknown = [str(i) for i in np.unique(strange)]
    if dataset.multilabel:
        holds = np.isin(labels, list(map(int, unknown))).any(axis=(0, 1))
        name = dataset.classes[int(holds.argmax())]
        raise DataError(
            f"{where}: the value {', '.join(unknown)} in the mask of class {name}, where 0 and 1 are expected, and "
            f"{dataset.ignore_label} for ignored pixels"
        )
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
