"""The objects of a labelled image, as classes and boxes, from whatever tells them apart."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np

from kseg.data.dataset import Dataset
from kseg.data.masks import size_mismatch
from kseg.data.reading.files import read_mask
from kseg.data.reading.links import stay_inside
from kseg.errors import DataError
from kseg.io.regular import read_regular

Box = tuple[int, int, int, int]
BACKGROUND = 0
LEAST_PIXELS = 400  # 20x20; what is smaller is a fragment more often than an object


@dataclass(frozen=True)
class LabelledObject:
    """One object: its class, and its box as top, left, bottom, right in pixels, the last two exclusive."""

    class_id: int
    box: Box


FindObjects = Callable[[Dataset, int, np.ndarray], list[LabelledObject]]


def find_objects(dataset: Dataset, index: int, labels: np.ndarray) -> list[LabelledObject]:
    """The objects of image `index`, whose class ids are `labels` (H, W), from the best source there is.

    In this order: an instance mask (VOC's `SegmentationObject/NAME.png` beside the class masks' folder, or
    `instances/...` where the class masks lie in `masks/...`), boxes (VOC's `Annotations/NAME.xml`), or
    the connected regions of each class. Class 0 is the background, and has no objects.

    Raises:
        DataError: an instance mask or a file of boxes that cannot be used; it names the file.
    """
    mask = dataset.samples[index].mask if isinstance(dataset.samples, Sequence) else None
    if isinstance(mask, Path):
        # Where the instance mask that belongs to a class mask may lie.
        found = [mask.parent.parent / "SegmentationObject" / f"{mask.stem}.png"]
        for folder in list(mask.parents)[:2]:  # masks/NAME.png or masks/SPLIT/NAME.png
            if folder.name == "masks":
                found.append(folder.with_name("instances") / mask.relative_to(folder).with_suffix(".png"))
        for path in found:
            if _there(path, mask):
                return objects_of_instances(path, labels, dataset.ignore_label)
        boxes = mask.parent.parent / "Annotations" / f"{mask.stem}.xml"
        if _there(boxes, mask):
            return objects_of_boxes(boxes, labels, dataset.classes)
    return objects_of_regions(labels, dataset.ignore_label)


def objects_of_regions(
    labels: np.ndarray, ignore_label: int = 255, least_pixels: int = LEAST_PIXELS
) -> list[LabelledObject]:
    """The connected regions of every class but the background, of `least_pixels` or more."""
    classes = [
        int(c) for c in np.flatnonzero(np.bincount(labels.ravel())) if c not in (BACKGROUND, ignore_label)
    ]
    return [
        LabelledObject(class_id, tuple(box))
        for class_id in classes
        for box in object_boxes(labels, class_id, least_pixels).tolist()
    ]


def objects_of_instances(
    path: str | Path, labels: np.ndarray, ignore_label: int = 255, least_pixels: int = LEAST_PIXELS
) -> list[LabelledObject]:
    """The objects of an instance mask: ids from 1 on, 0 and 255 none. An object has its most frequent class."""
    ids = read_mask(path)
    if ids.shape != labels.shape:
        raise DataError(size_mismatch("the class mask", labels.shape, str(path), ids.shape))
    found = []
    for instance in np.flatnonzero(np.bincount(ids.ravel(), minlength=256)[1:255]) + 1:
        rows, columns = np.nonzero(ids == instance)
        counts = np.bincount(labels[rows, columns], minlength=256)
        counts[[BACKGROUND, ignore_label]] = 0
        if counts.sum() >= least_pixels:
            box = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
            found.append(LabelledObject(int(counts.argmax()), tuple(int(edge) for edge in box)))
    return found


def objects_of_boxes(
    path: str | Path, labels: np.ndarray, classes: Sequence[str], least_pixels: int = LEAST_PIXELS
) -> list[LabelledObject]:
    """The objects of a VOC annotation file whose box holds `least_pixels` of their class; others are left out.

    VOC counts pixels from 1, and its boxes include their last row and column.
    """
    found = []
    for name, (left, top, right, bottom) in _annotated(Path(path)):
        box = max(top - 1, 0), max(left - 1, 0), min(bottom, labels.shape[0]), min(right, labels.shape[1])
        if name in classes[1:] and box[0] < box[2] and box[1] < box[3]:
            class_id = list(classes).index(name)
            if (labels[box[0] : box[2], box[1] : box[3]] == class_id).sum() >= least_pixels:
                found.append(LabelledObject(class_id, box))
    return found


def object_boxes(labels: np.ndarray, class_id: int, least_pixels: int = 1000) -> np.ndarray:
    """Boxes of one class's objects in a label map (H, W): its 8-connected regions of at least `least_pixels`.

    int32 (objects, 4): top, left, bottom, right, the last two exclusive. In VOC's masks the void border parts
    people who touch.
    """
    _, _, regions, _ = cv2.connectedComponentsWithStats((labels == class_id).astype(np.uint8), connectivity=8)
    left, top, wide, high, pixels = regions[1:].T
    return np.stack([top, left, top + high, left + wide], axis=1)[pixels >= least_pixels].astype(np.int32)


def box_overlaps(boxes: np.ndarray, box: np.ndarray | Box) -> np.ndarray:
    """Intersection over union of boxes (boxes, 4) with one box; top, left, bottom, right."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    inner = np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2])
    shared = np.clip(inner, 0, None).prod(-1)
    return shared / ((boxes[:, 2:] - boxes[:, :2]).prod(-1) + np.prod(np.subtract(box[2:], box[:2])) - shared)


def with_context(boxes: np.ndarray | Sequence[Box], factor: float) -> np.ndarray:
    """Boxes (boxes, 4) grown by a factor around their centres, int32, at least a pixel each way; they may reach
    beyond the image."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    centre, side = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * factor
    start, stop = np.round(centre - side / 2), np.round(centre + side / 2)
    return np.concatenate([start, np.maximum(stop, start + 1)], axis=1).astype(np.int32)


def inside(box: Sequence[int], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of a box that lie in an image of this shape."""
    top, left, bottom, right = (int(edge) for edge in box)
    return slice(max(top, 0), min(bottom, shape[0])), slice(max(left, 0), min(right, shape[1]))


def cut_out(pixels: np.ndarray, box: Sequence[int], fill: float = 0) -> np.ndarray:
    """A box's pixels (h, w, ...), `fill` where it reaches beyond the image."""
    top, left, bottom, right = (int(edge) for edge in box)
    result = np.full((bottom - top, right - left, *pixels.shape[2:]), fill, pixels.dtype)
    rows, columns = inside(box, pixels.shape)
    if rows.start < rows.stop and columns.start < columns.stop:
        part = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        result[part] = pixels[rows, columns]
    return result


def _there(path: Path, mask: Path) -> bool:
    """Whether there is such a file in the folder around a mask's; DataError where a link leads it out of there."""
    if not path.is_file():
        return False
    stay_inside(os.path.commonpath([path, mask]), [path])
    return True


def _annotated(path: Path) -> list[tuple[str, Box]]:
    """Names and boxes (xmin, ymin, xmax, ymax) of a VOC annotation file."""
    text = read_regular(path, max_pixels=0).decode("utf-8", errors="replace")
    if re.search(
        r"<!(DOCTYPE|ENTITY)", text
    ):  # neither is in VOC's files, and entities can grow without limit
        raise DataError(f"{path}: a VOC annotation file has no DOCTYPE and no entities: replace the file")
    try:
        objects = ElementTree.fromstring(text).findall("object")
        corners = ("xmin", "ymin", "xmax", "ymax")
        return [
            (
                one.findtext("name", ""),
                tuple(round(float(one.findtext(f"bndbox/{corner}", ""))) for corner in corners),
            )
            for one in objects
        ]
    except (ElementTree.ParseError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: not a VOC annotation file ({error}): correct or remove it") from None
