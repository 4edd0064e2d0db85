"""COCO's instance annotations as label maps, and label maps as COCO's annotations."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kseg.data.annotations.drawn import IGNORE_LABEL, DrawnImage, DrawnMasks, Shape
from kseg.data.annotations.polygons import runs_of
from kseg.data.dataset import Dataset
from kseg.data.reading.layout import inside
from kseg.errors import DataError
from kseg.io.atomic import write_json
from kseg.io.regular import read_regular

_LARGEST = sys.float_info.max  # whole numbers in a JSON file have no end
MAX_BYTES = 1 << 30  # COCO's own instances_train2017.json has 450 MB


def from_coco(
    annotations: str | Path,
    images: str | Path,
    classes: Sequence[str] | None = None,
    *,
    background: str | None = "background",
    crowd: str = "ignore",
    name: str = "coco",
    split: str = "train",
) -> Dataset:
    """Reads a COCO annotation file (instances, segmentations) as label maps.

    Categories become classes in the order of their ids, without gaps, after the background; those of one name become
    one class. Where objects overlap, the smaller is on top. Polygons are filled as COCO's own tool fills them.

    Args:
        annotations: the JSON file.
        images: the folder of the images that it names.
        classes: names of the categories to use, in this order; None for all. Others become background.
        background: name of class 0; None where the annotations cover everything: the rest is then ignored.
        crowd: what regions of many objects (`iscrowd`) become: `"ignore"`, or `"class"` for their category.
        name, split: for reports.

    Returns:
        A `Dataset`; images without annotations are all background.

    Raises:
        DataError: another program's JSON, an entry that refers to what is not there, an empty polygon, an unknown form
            of segmentation, boxes alone; names the file and entry. When a sample is read: an image of another size, a
            polygon outside of it, run lengths that do not fit.

    Example:

    ```python
    train = kseg.data.from_coco("annotations/instances_train2017.json", "train2017", classes=["person", "dog"])
    ```
    """
    path, folder = Path(annotations), Path(images)
    found = read_json(path)
    for key in ("images", "annotations", "categories"):
        if not isinstance(found, dict) or not isinstance(found.get(key), list):
            raise DataError(f"{path}: not a COCO annotation file: it has no list {key!r}")
    if crowd not in ("ignore", "class"):
        raise DataError(f"crowd is 'ignore' or 'class', got {crowd!r}")
    names, ids = _categories(path, found["categories"], classes, background)
    shapes: dict[Any, list[Shape]] = {}
    for number, entry in enumerate(found["annotations"]):
        where = f"{path}, annotation {_described(entry, number)}"
        if _number(entry, "category_id") not in ids:
            raise DataError(
                f"{where}: the category {_field(entry, 'category_id')!r} is in no list of the file"
            )
        label = ids[entry["category_id"]]
        if label is None:
            continue
        if entry.get("iscrowd") and crowd == "ignore":
            label = IGNORE_LABEL
        image = _field(entry, "image_id")
        if not isinstance(image, (int, float, str)):
            raise DataError(f"{where}: the image {image!r}, where its id is expected")
        shapes.setdefault(image, []).append(_shape(where, label, entry.get("segmentation")))
    drawn = _drawn_images(path, folder, found["images"], shapes)
    rest = 0 if background is not None else IGNORE_LABEL
    return Dataset(name, split, names, None, DrawnMasks(tuple(drawn), rest))


def _drawn_images(
    path: Path, folder: Path, entries: list, shapes: dict[Any, list[Shape]]
) -> list[DrawnImage]:
    """The images of the file's list, each with its shapes; DataError for one that is wrong, and where none is there."""
    drawn, known = [], set()
    for number, entry in enumerate(entries):
        where = f"{path}, image {_described(entry, number)}"
        file = _field(entry, "file_name")
        if not isinstance(file, str) or not file:
            raise DataError(f"{where}: it has no file_name")
        if not isinstance(entry.get("id"), (int, float, str)):
            raise DataError(f"{where}: it has no id")
        if entry["id"] in known:
            raise DataError(f"{where}: two images have this id")
        known.add(entry["id"])
        size = (entry.get("height"), entry.get("width"))
        size = size if all(isinstance(side, int) and side > 0 for side in size) else None
        image = inside(folder, file, path)
        drawn.append(
            DrawnImage(image, Path(file).stem, size, tuple(shapes.pop(entry.get("id"), ())), str(path))
        )
    if shapes:
        raise DataError(
            f"{path}: annotations of the image {next(iter(shapes))!r}, which is not in its list of images"
        )
    if not drawn:
        raise DataError(f"{path}: it lists no images")
    if not any(one.image.is_file() for one in drawn):
        raise DataError(f"{drawn[0].image}: no such file, and none of the images of {path} is in {folder}")
    return drawn


def read_json(path: Path) -> Any:
    """A JSON file; DataError where it is something else."""
    data = read_regular(path, max_pixels=MAX_BYTES // 8)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file ({error})") from None


def _number(entry: Any, key: str) -> int | float | None:
    """A number of an entry; None where it is another thing."""
    found = _field(entry, key)
    return found if isinstance(found, (int, float)) and not isinstance(found, bool) else None


def _field(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _described(entry: Any, number: int) -> str:
    """How to name an entry: its id, else its place."""
    found = _field(entry, "id")
    return f"{number} of the list" if found is None else f"id {found}"


def _categories(
    path: Path, categories: list, classes: Sequence[str] | None, background: str | None
) -> tuple[tuple[str, ...], dict[Any, int | None]]:
    """Class names, and the class id of each category id (None for those that are not used)."""
    named = {}
    for number, entry in enumerate(categories):
        if not isinstance(_field(entry, "name"), str) or not isinstance(_field(entry, "id"), int):
            raise DataError(f"{path}, category {number}: expected an id and a name, got {entry!r}")
        if entry["id"] in named:
            raise DataError(f"{path}, category {number}: two categories have the id {entry['id']}")
        named[entry["id"]] = entry["name"]
    chosen = list(dict.fromkeys(named[one] for one in sorted(named))) if classes is None else list(classes)
    missing = [one for one in chosen if one not in named.values() and one != background]
    if missing:
        raise DataError(f"{path}: no category {missing[0]!r}; it has {', '.join(map(str, named.values()))}")
    names = list(chosen)
    if background is not None and background not in names:
        names.insert(0, background)
    elif background is not None:
        names = [background, *(one for one in names if one != background)]
    return tuple(names), {one: names.index(label) if label in names else None for one, label in named.items()}


def _shape(where: str, label: int, segmentation: Any) -> Shape:
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if not isinstance(counts, (str, list)):
            raise DataError(f"{where}: run lengths without counts")
        if isinstance(counts, list) and not all(type(count) is int for count in counts):
            raise DataError(f"{where}: run lengths that are no whole numbers")
        size = segmentation.get("size")
        size = tuple(size) if isinstance(size, list) else None
        return Shape(label, runs=counts if isinstance(counts, str) else tuple(counts), where=where, size=size)
    if segmentation in (None, []):
        raise DataError(f"{where}: it has no segmentation, as a box alone: draw its outline, or remove it")
    if not isinstance(segmentation, list):
        raise DataError(f"{where}: a segmentation that is neither polygons nor run lengths")
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    for points in polygons:
        numbers = isinstance(points, list) and all(type(one) in (int, float) for one in points)
        if isinstance(points, list) and not (numbers and all(abs(one) <= _LARGEST for one in points)):
            raise DataError(f"{where}: a polygon whose points are not all numbers; expected x1, y1, x2, y2, ...")
        if not numbers or len(points) % 2 or len(points) < 6:
            count = len(points) if isinstance(points, list) else 0
            raise DataError(
                f"{where}: a polygon of {count} numbers; it needs x and y of three corners at least"
            )
    return Shape(label, tuple(map(tuple, polygons)), where=where)


def to_coco(dataset: Dataset, path: str | Path, *, background: int | None = 0) -> Path:
    """Writes a data set's label maps as a COCO annotation file, one annotation a connected region.

    Args:
        dataset: a `Dataset`.
        path: the JSON file to write.
        background: the class that is not written; None to write all. Where classes overlap, all are.

    Returns:
        The path. Regions are run lengths, so that nothing is lost; ignored pixels become crowd regions of the first
        class that is written, or, where classes overlap, of the class that ignores them.

    Example:

    >>> images, masks = np.zeros((2, 8, 8, 3), "uint8"), np.ones((2, 8, 8), "uint8")
    >>> data = kseg.data.from_arrays(images, masks, classes=["background", "thing"])
    >>> kseg.data.to_coco(data, "instances.json").name
    'instances.json'
    """
    kept = [index for index in range(dataset.num_classes) if index != background or dataset.multilabel]
    categories = [{"id": index, "name": dataset.classes[index]} for index in kept]
    images, annotations = [], []
    for index in range(len(dataset)):
        _, labels = dataset.load(index)
        height, width = labels.shape[:2]
        image = dataset.file_of(index)
        file = dataset.name_of(index) + ".png" if image is None else image.name
        images.append({"id": index + 1, "file_name": file, "height": height, "width": width})
        ignored = labels == dataset.ignore_label
        covered = [(label, labels == label, 0) for label in kept] + [(kept[0], ignored, 1)]
        if dataset.multilabel:
            covered = [(label, labels[..., label] == 1, 0) for label in kept]
            covered += [(label, ignored[..., label], 1) for label in kept]
        for label, where, crowd in covered:
            count, regions = cv2.connectedComponents(where.astype(np.uint8), connectivity=8)
            for region in range(1, count):
                mask = regions == region
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                top, left = int(rows[0]), int(columns[0])
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": index + 1,
                        "category_id": label,
                        "iscrowd": crowd,
                        "area": int(mask.sum()),
                        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
                        "segmentation": {"counts": runs_of(mask), "size": [height, width]},
                    }
                )
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_json(path, content)
    return Path(path)
