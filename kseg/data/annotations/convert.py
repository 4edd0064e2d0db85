"""Any data set as a folder of images and masks, the form that every command of kseg reads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from kseg.checks import fraction
from kseg.data.dataset import Dataset
from kseg.data.masks import kind_of
from kseg.errors import DataError
from kseg.io.archive import leads_out
from kseg.io.atomic import write_bytes, write_json, write_text
from kseg.io.colour_map import default_palette
from kseg.io.regular import read_regular
from kseg.progress import Progress


def convert(
    dataset: Dataset | Sequence[Dataset],
    out: str | Path,
    *,
    val: float = 0.0,
    seed: int = 0,
    stratify: bool = False,
    on_sample: Progress | None = None,
) -> Path:
    """Writes a data set as `images/SPLIT/NAME`, `masks/SPLIT/NAME.png` and `classes.txt`.

    Where classes overlap, masks are `masks/SPLIT/CLASS/NAME.png`; what images that are not RGB are
    stands in `channels.json`.

    Args:
        dataset: what to write, or several splits of it. Image files are copied as they are; masks become indexed PNG
            of class ids.
        out: the folder, new or empty.
        val: how much of it becomes the split `val`; with 0 the split keeps its name.
        seed, stratify: as `dataset.split`.
        on_sample: called with (done, total) after every sample.

    Returns:
        The folder, for `kseg.data.load("folder", ...)` and `--data folder --root`.

    Raises:
        DataError: The folder holds something, a sample cannot be read, or splits have other classes.

    Example:

    ```python
    kseg.data.convert(kseg.data.from_coco("instances.json", "images"), "my_data", val=0.2)
    ```
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: it exists already and is not empty: choose a new folder")
    val = fraction(val, "val")
    parts = (dataset,) if isinstance(dataset, Dataset) else tuple(dataset)
    if len({(part.classes, kind_of(part)) for part in parts}) > 1:
        raise DataError(f"{parts[0].name}: its splits have different classes, or images of other channels or values")
    if parts[0].num_classes == 1 and not parts[0].multilabel:
        raise DataError(f"{parts[0].name}: {parts[0].classes[0]} is its only class: nothing is there to tell it from")
    if parts[0].multilabel and (outside := [name for name in parts[0].classes if leads_out(name)]):
        raise DataError(f"{parts[0].name}: the class {outside[0]!r} cannot be the name of a folder")
    if val:
        parts = sum(parts[1:], parts[0]).split(val, seed=seed, stratify=stratify)
    total, done = sum(map(len, parts)), 0
    for part in parts:
        taken: set[str] = set()
        for index in range(len(part)):
            stem = part.name_of(index).replace("/", "_").replace("\\", "_").lstrip(".") or "sample"
            name, number = stem, 2
            while name.casefold() in taken:  # some file systems ignore case
                name, number = f"{stem}_{number}", number + 1
            taken.add(name.casefold())
            _write_sample(part, index, out, name)
            done += 1
            if on_sample is not None:
                on_sample(done, total)
    classes, palette = parts[0].classes, parts[0].palette
    lines = [f'"{name}"' for name in classes]
    if len(set(palette)) == len(palette):  # a class list with a colour twice would be refused
        lines = [f"{line} {' '.join(map(str, colour))}" for line, colour in zip(lines, palette, strict=True)]
    write_text(out / "classes.txt", "\n".join(lines) + "\n")
    if not parts[0].is_rgb:
        write_json(out / "channels.json", {"channels": parts[0].channels, "value_range": parts[0].value_range})
    return out


def _write_sample(part: Dataset, index: int, out: Path, name: str) -> None:
    """The files of one sample: its image as it is, and a mask, or one for each of the classes that overlap."""
    images, masks = (out / kind / str(part.split) for kind in ("images", "masks"))
    image, labels = part.load(index)
    file = part.file_of(index)
    if file is not None:
        suffix, data = file.suffix.lower(), read_regular(file, part.max_pixels)
    elif part.is_rgb:
        suffix, data = ".png", _png(Image.fromarray(image))
    else:
        np.save(stored := io.BytesIO(), image)
        suffix, data = ".npy", stored.getvalue()
    images.mkdir(parents=True, exist_ok=True)
    write_bytes(images / f"{name}{suffix}", data)
    colours = [*part.palette, *default_palette(256)[len(part.palette) :]]
    layers = {masks: (labels, colours)}
    if part.multilabel:
        layers = {masks / one: (labels[..., i], ((0, 0, 0), colours[i])) for i, one in enumerate(part.classes)}
    for folder, (layer, shown) in layers.items():
        folder.mkdir(parents=True, exist_ok=True)
        mask = Image.fromarray(np.ascontiguousarray(layer))
        mask.putpalette(bytes(channel for colour in shown for channel in colour))
        write_bytes(folder / f"{name}.png", _png(mask))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
