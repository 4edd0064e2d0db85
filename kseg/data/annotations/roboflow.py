"""Roboflow's exports: "COCO segmentation" and "Semantic segmentation masks"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kseg.data.annotations.coco import from_coco, read_json
from kseg.data.class_list import read_classes
from kseg.data.dataset import Dataset, Sample
from kseg.data.pairs import list_images
from kseg.data.reading.layout import contents_of, existing_folder
from kseg.errors import DataError

_SPLITS = {"val": "valid"}


def from_roboflow(
    root: str | Path, split: str = "train", classes: Sequence[str] | None = None, *, name: str = "roboflow"
) -> Dataset:
    """Reads a data set exported by Roboflow, as COCO segmentation or as semantic segmentation masks.

    Args:
        root: the folder with `train/`, `valid/` and `test/`.
        split: `"train"`, `"val"` (or `"valid"`), `"test"`.
        classes: of a COCO export, the categories to use, in this order.
        name: for reports.

    Returns:
        A `Dataset`.

    Raises:
        DataError: neither `_annotations.coco.json` nor `_classes.csv` in the folder, or as `from_coco`.

    Example:

    ```python
    train, val = (kseg.data.from_roboflow("leaves", split) for split in ("train", "val"))
    ```
    """
    root = existing_folder(root, "train/, valid/ and test/")
    folder = existing_folder(root / _SPLITS.get(split, split), "Roboflow's images and annotations")
    annotations, listed = folder / "_annotations.coco.json", folder / "_classes.csv"
    if annotations.is_file():
        classes = _classes(read_json(annotations)) if classes is None else classes
        return from_coco(annotations, folder, classes, name=name, split=split)
    if not listed.is_file():
        raise DataError(
            f"{folder}: expected _annotations.coco.json or _classes.csv, and found {contents_of(folder)}: export as "
            '"COCO segmentation" or "Semantic segmentation masks"'
        )
    if classes is not None:
        raise DataError(
            f"{listed}: the masks have all classes of the list: leave classes out, and use remap()"
        )
    names, _ = read_classes(listed)
    files = list_images(folder).files
    samples = tuple(
        Sample(paths[0], files[f"{key}_mask"][0])
        for key, paths in files.items()
        if not key.endswith("_mask") and f"{key}_mask" in files
    )
    if not samples:
        raise DataError(f"{folder}: no image has a mask; expected NAME_mask.png beside NAME.jpg")
    return Dataset(name, split, names, None, samples)


def _classes(found: Any) -> list[str] | None:
    """The categories without the group that Roboflow puts first, which is no class; None where they are unusual."""
    try:
        used = {entry["category_id"] for entry in found["annotations"]}
        entries = sorted(found["categories"], key=lambda entry: entry["id"])
        groups = {entry.get("supercategory") for entry in entries if entry.get("supercategory") != entry["name"]}
        return [entry["name"] for entry in entries if entry["name"] not in groups or entry["id"] in used] or None
    except (KeyError, TypeError, AttributeError):
        return None
