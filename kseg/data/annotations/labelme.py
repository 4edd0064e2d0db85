"""LabelMe's JSON files, one an image, as label maps."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kseg.data.annotations.coco import read_json
from kseg.data.annotations.drawn import IGNORE_LABEL, DrawnImage, DrawnMasks, Shape
from kseg.data.annotations.polygons import runs_of
from kseg.data.dataset import Dataset
from kseg.data.reading.layout import existing_folder, inside
from kseg.errors import DataError
from kseg.io.image_file import MAX_PIXELS
from kseg.io.masks import read_mask

_IGNORED = ("__ignore__", "ignore")
_BACKGROUND = ("_background_", "background")
_CIRCLE_CORNERS = 64


def from_labelme(
    folder: str | Path,
    classes: Sequence[str] | None = None,
    *,
    images: str | Path | None = None,
    background: str = "background",
    name: str = "labelme",
    split: str = "train",
) -> Dataset:
    """Reads LabelMe's annotations: polygons, rectangles, circles and masks.

    Args:
        folder: holds the JSON files, in subfolders too.
        classes: the labels to use, in this order; None for all, by alphabet. Others become background. The labels
            `__ignore__` and `ignore` are ignored pixels, `_background_` is class 0.
        images: the folder of the images; default: where each JSON file says, from its own place.
        background: name of class 0.
        name, split: for reports.

    Returns:
        A `Dataset`; where shapes overlap, the smaller is on top.

    Raises:
        DataError: no folder, JSON file or image, JSON of another program, a shape without an area (line, point);
            names the file and the shape.

    Example:

    ```python
    dataset = kseg.data.from_labelme("labelled", classes=["cat", "dog"])
    ```
    """
    root = existing_folder(folder, "LabelMe's JSON files")
    files = sorted(path for path in root.rglob("*.json") if not path.name.startswith("."))
    if not files:
        raise DataError(f"{root}: no JSON files, as LabelMe writes them")
    contents: dict[Path, dict[str, Any]] = {}
    for path in files:
        found = read_json(path)
        if not isinstance(found, dict) or not isinstance(found.get("shapes"), list) or "imagePath" not in found:
            raise DataError(f"{path}: not a LabelMe file: it has no shapes and imagePath")
        for number, shape in enumerate(found["shapes"]):
            if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
                raise DataError(f"{path}, shape {number}: it has no label")
        contents[path] = found
    labels = {shape["label"] for found in contents.values() for shape in found["shapes"]}
    if classes is None:
        classes = sorted(labels - {*_IGNORED, *_BACKGROUND, background})
    missing = [label for label in classes if label not in labels and label != background]
    if missing:
        raise DataError(
            f"{root}: no shape has the label {missing[0]!r}; they have {', '.join(sorted(labels))}"
        )
    names = (background, *(label for label in classes if label != background))
    ids = {label: index for index, label in enumerate(names)} | dict.fromkeys(_IGNORED, IGNORE_LABEL)
    ids |= dict.fromkeys(_BACKGROUND, 0)
    drawn = tuple(
        _drawn(path, found, ids, None if images is None else Path(images)) for path, found in contents.items()
    )
    return Dataset(name, split, names, None, DrawnMasks(drawn))


def _drawn(path: Path, found: dict[str, Any], ids: dict[str, int], images: Path | None) -> DrawnImage:
    file = str(found["imagePath"]).replace("\\", "/")
    image = path.parent / file if images is None else inside(images, Path(file).name, path)
    if images is None and not image.is_file():  # the path of another machine
        image = path.parent / Path(file).name
    if not image.is_file():
        raise DataError(f"{image}: no such file, though {path} names it: give the images' folder (images=)")
    size = (found.get("imageHeight"), found.get("imageWidth"))
    size = size if all(isinstance(side, int) and side > 0 for side in size) else None
    shapes = [
        _shape(f"{path}, shape {number} ({shape['label']})", ids[shape["label"]], shape, size)
        for number, shape in enumerate(found["shapes"])
        if shape["label"] in ids
    ]
    return DrawnImage(image, image.stem, size, tuple(shapes), str(path))


def _shape(where: str, label: int, shape: dict[str, Any], size: tuple[int, int] | None) -> Shape:
    kind = shape.get("shape_type") or "polygon"
    try:
        points = np.asarray(shape.get("points"), np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError):
        raise DataError(f"{where}: points that are not pairs of numbers") from None
    if not np.isfinite(points).all():
        raise DataError(f"{where}: points that are not pairs of numbers")
    needed = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}.get(kind)
    if needed is None:
        raise DataError(f"{where}: a {kind} has no area: draw a polygon, or remove it")
    if len(points) < needed:
        raise DataError(f"{where}: a {kind} of {len(points)} points; it needs {needed} at least")
    if kind == "mask":  # a PNG in text, put where its box says
        if size is None:
            raise DataError(f"{where}: a mask in a file that does not say the image's size")
        if size[0] * size[1] > MAX_PIXELS:
            raise DataError(f"{where}: a mask for an image of {size[0]}x{size[1]} pixels; at most {MAX_PIXELS}")
        try:
            part = read_mask(base64.b64decode(shape.get("mask"), validate=True), name=where) > 0
        except (TypeError, ValueError, binascii.Error):
            raise DataError(f"{where}: a mask that is not a PNG in base64") from None
        left, top = (int(np.floor(value)) for value in points.min(axis=0))
        bottom, right = top + part.shape[0], left + part.shape[1]
        if top < 0 or left < 0 or bottom > size[0] or right > size[1]:
            raise DataError(f"{where}: a mask that reaches beyond the image of {size[0]}x{size[1]} pixels")
        whole = np.zeros(size, bool)
        whole[top:bottom, left:right] = part
        return Shape(label, runs=tuple(runs_of(whole)), where=where)
    if kind == "rectangle":
        (x0, y0), (x1, y1) = points[:2]
        points = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
    if kind == "circle":
        angles = np.linspace(0, 2 * np.pi, _CIRCLE_CORNERS, endpoint=False)
        radius = np.linalg.norm(points[1] - points[0])
        points = points[0] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    return Shape(label, (tuple(points.ravel()),), where=where)
