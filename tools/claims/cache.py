"""Feature maps of a frozen network on disk: float16 arrays, one a map, and the labels of the same views.

    FOLDER/SPLIT/cache.json     what it was made of, and how many rows are done
    FOLDER/SPLIT/labels.npy     uint8 (rows, height, width)
    FOLDER/SPLIT/MAP.npy        float16 (rows, h, w, channels)

Row `view * images + index` is a view of an image. View 0 is the image itself, as large as it fits; the others are
augmented. All files are read as memory maps.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import kseg
from kseg.data import Augment, Dataset
from kseg.errors import SettingsError

from .datasets import fitted

BATCH = 8
SPLITS = ("train", "val")


def make(
    folder: Path,
    dataset: Dataset,
    network: keras.Model,
    size: tuple[int, int],
    *,
    views: int = 1,
    augment: Augment | None = None,
    progress: Any = None,
) -> dict[str, Any]:
    """Fill the cache in `folder`, or what is missing of it.

    Args:
        folder: where it lies, a folder is made in it that is called like the split.
        dataset: the images and their labels.
        network: from images 0-255 to a dict of maps; it is used as it is at inference.
        size: (height, width) of all views.
        views: how many of each image; the first is not augmented.
        augment: what makes the others.
        progress: called with (rows done, rows).

    Returns:
        What `cache.json` holds.

    Raises:
        SettingsError: the folder holds the maps of other data, of another network, size or number of views, or
            damaged ones.
    """
    folder = folder / str(dataset.split)
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "data": f"{dataset.name} {dataset.split}",
        "classes": list(dataset.classes),
        "images": len(dataset),
        "views": views,
        "size": list(size),
        "augment": repr(augment) if views > 1 else "",
        "network": network.name,
        "maps": {name: list(maps.shape[1:]) for name, maps in network(np.zeros((1, *size, 3))).items()},
    }
    done = _done(folder, facts)
    rows = views * len(dataset)
    shapes = {"labels": ("uint8", size), **{name: ("float16", shape) for name, shape in facts["maps"].items()}}
    for name, (dtype, shape) in shapes.items() if done else ():
        _check(folder / f"{name}.npy", dtype, (rows, *shape))
    if done == rows:
        return facts
    arrays = {
        name: np.lib.format.open_memmap(
            folder / f"{name}.npy", "r+" if done else "w+", dtype=dtype, shape=None if done else (rows, *shape)
        )
        for name, (dtype, shape) in shapes.items()
    }
    for start, images, labels in _batches(dataset, size, views, augment, done):
        stop = start + len(labels)
        arrays["labels"][start:stop] = labels
        for name, maps in network.predict_on_batch(images).items():
            arrays[name][start:stop] = maps
        if stop % (64 * BATCH) < BATCH or stop == rows:
            for array in arrays.values():
                array.flush()
            _write(folder / "cache.json", {**facts, "done": stop})
        if progress is not None:
            progress(stop, rows)
    return facts


def _done(folder: Path, facts: dict[str, Any]) -> int:
    path = folder / "cache.json"
    if not path.is_file():
        return 0
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        done = found.pop("done")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise SettingsError(f"{path} is damaged: remove the folder, and the cache is made anew") from None
    if found != facts:
        other = ", ".join(key for key in facts if found.get(key) != facts[key])
        raise SettingsError(f"{folder}: a cache of another {other}; give another --cache, or remove the folder")
    return done


def _check(path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    try:
        found = np.load(path, mmap_mode="r")
        whole = (found.dtype, found.shape) == (np.dtype(dtype), shape)
    except (OSError, ValueError, EOFError):
        whole = False
    if not whole:
        raise SettingsError(f"{path} is missing or damaged: remove its folder, and the cache is made anew")


def _write(path: Path, content: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(part, path)


def _batches(
    dataset: Dataset, size: tuple[int, int], views: int, augment: Augment | None, done: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Number of the first row, images and labels of the batches from row `done` on."""
    plain = fitted(dataset, size)
    parts = [(0, plain, None, 1)] + ([(len(dataset), dataset, augment, views - 1)] if views > 1 else [])
    for first, source, changes, epochs in parts:
        skipped = max(done - first, 0) // BATCH
        row = first + skipped * BATCH
        if skipped * BATCH >= epochs * len(dataset):
            continue
        stream = kseg.data.pipeline(
            source, batch_size=BATCH, size=size, augment=changes, epochs=epochs, start_step=skipped, cache=False
        )
        for images, labels in stream.as_numpy_iterator():
            yield row, images, labels
            row += len(labels)


class NumberedViews:
    """The views of a cache as a source of samples: an image holds nothing but the number of its row.

    The number stands in the first pixel, in base 256, and that of the split in the second; `StoredMap` reads them
    there. The whole of kseg's training, pipeline and evaluation go on as if these were images.
    """

    makes_samples = True

    def __init__(self, folder: Path, split: str, rows: Sequence[int]):
        self.labels, self.rows = np.load(folder / split / "labels.npy", mmap_mode="r"), rows
        self.split = SPLITS.index(split)

    def __len__(self) -> int:
        return len(self.rows)

    def name_of(self, index: int) -> str:
        return f"row {self.rows[index]}"

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        row = self.rows[index]
        image = np.zeros((*self.labels.shape[1:], 3), np.uint8)
        image[0, 0] = row % 256, row // 256 % 256, row // 65536
        image[0, 1] = self.split
        return image, np.array(self.labels[row])


def numbered(folder: Path, dataset: Dataset, views: int | None = None, limit: int | None = None) -> Dataset:
    """The data set of the first `views` views in a cache (all by default), or of `limit` rows evenly spaced in it."""
    split = str(dataset.split)
    facts = json.loads((folder / split / "cache.json").read_text(encoding="utf-8"))
    count = facts["images"] * (facts["views"] if views is None else views)
    if facts["done"] < count:
        raise SettingsError(f"{folder / split}: {facts['done']} of {count} rows are there; make the cache first")
    rows = range(count) if limit is None or limit >= count else [count * i // limit for i in range(limit)]
    source = NumberedViews(folder, split, rows)
    return Dataset(dataset.name, split, dataset.classes, dataset.palette, source, dataset.ignore_label)
