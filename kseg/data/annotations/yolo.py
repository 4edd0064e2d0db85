"""YOLO's segmentation labels, one text an image, as label maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kseg.data.annotations.drawn import DrawnImage, DrawnMasks, Shape
from kseg.data.class_list import read_classes
from kseg.data.dataset import Dataset
from kseg.data.pairs import list_images
from kseg.data.reading.layout import existing_folder
from kseg.errors import DataError
from kseg.io.regular import read_regular

_BEYOND = 0.05  # of the width and height: other programs round, and draw a little beyond the edge


def from_yolo(
    root: str | Path,
    split: str = "train",
    classes: Sequence[str] | None = None,
    *,
    images: str | Path | None = None,
    labels: str | Path | None = None,
    background: str = "background",
    name: str = "yolo",
) -> Dataset:
    """Reads segmentations as YOLO stores them: "class x1 y1 x2 y2 ...", in parts of the width and height.

    Args:
        root: the folder with `data.yaml`, `images/SPLIT` and `labels/SPLIT`, or `SPLIT/images` and `SPLIT/labels`;
            without folders of splits, `images` and `labels` are "train".
        split: the folder's name.
        classes: names of YOLO's classes in their order; default: those in `data.yaml`.
        images, labels: the two folders, where they lie elsewhere.
        background: name of class 0; YOLO's class 0 becomes class 1.
        name: for reports.

    Returns:
        A `Dataset`. An image without a text is all background; where shapes overlap, the smaller is on top.

    Raises:
        DataError: folders or names that are not there; a line with a class that has no name, with a box in place of a
            polygon, or with points that are not from 0 to 1; names the file and line.

    Example:

    ```python
    train = kseg.data.from_yolo("coco8-seg", "train")
    ```
    """
    root = existing_folder(root, "data.yaml, images/ and labels/")
    found = images, labels
    if images is None or labels is None:
        pairs = [
            (root / "images" / split, root / "labels" / split),
            (root / split / "images", root / split / "labels"),
        ]
        if split == "train" and list_images(root / "images", deep=False).files:
            pairs.append((root / "images", root / "labels"))
        found = next((pair for pair in pairs if pair[0].is_dir()), None)
        if found is None:
            raise DataError(
                f"{root}: expected images/{split} and labels/{split}, or {split}/images and {split}/labels"
            )
    folder, texts = (existing_folder(one, "YOLO's images or labels") for one in found)
    if classes is None:
        names_of = ("data.yaml", "data.yml", "dataset.yaml", "classes.txt")
        lists = [root / file for file in names_of if (root / file).is_file()]
        if not lists:
            raise DataError(f"{root}: no data.yaml with the classes' names: give classes")
        classes = read_classes(lists[0])[0]
    names = (background, *classes)
    listing = list_images(folder)
    if not listing.files:
        raise DataError(f"{folder}: no images found")
    drawn = tuple(
        DrawnImage(
            paths[0],
            key.replace("/", "_"),
            None,
            _shapes(texts / f"{key}.txt", len(classes)),
            str(texts),
            True,
        )
        for key, paths in listing.files.items()
    )
    if not any((texts / f"{key}.txt").is_file() for key in listing.files):
        raise DataError(
            f"{texts}: no text belongs to an image in {folder}; expected the same names ending in .txt"
        )
    return Dataset(name, split, names, None, DrawnMasks(drawn))


def _shapes(path: Path, count: int) -> tuple[Shape, ...]:
    if not path.is_file():
        return ()
    text = read_regular(path, max_pixels=0).decode("utf-8-sig", errors="replace")
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        where = f"{path}, line {number}"
        try:
            label, points = int(words[0]), np.array(list(map(float, words[1:])))
        except ValueError:
            raise DataError(f"{where}: {line[:60]!r} is not a class number followed by points") from None
        if not 0 <= label < count:
            raise DataError(f"{where}: class {label}, but there are names for the classes 0 to {count - 1}")
        if len(points) == 4:
            raise DataError(f"{where}: a box, where polygons are expected: it says nothing about pixels")
        if len(points) < 6 or len(points) % 2:
            raise DataError(
                f"{where}: a polygon of {len(points)} numbers; it needs x and y of three corners at least"
            )
        if not np.isfinite(points).all() or points.min() < -_BEYOND or points.max() > 1 + _BEYOND:
            raise DataError(
                f"{where}: points from {points.min():g} to {points.max():g}; expected parts of the width and height, "
                "from 0 to 1 (pixels divided by them)"
            )
        found.append(Shape(label + 1, (tuple(points),), where=where))
    return tuple(found)
