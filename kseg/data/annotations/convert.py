"""Any data set as a folder of images and masks, the form that every command of kseg reads."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from kseg.checks import fraction
from kseg.data.annotations.drawn import DrawnMasks
from kseg.data.dataset import Dataset
from kseg.errors import DataError
from kseg.io.atomic import write_bytes, write_text
from kseg.io.colour_map import default_palette
from kseg.io.regular import read_regular


def convert(
    dataset: Dataset | Sequence[Dataset],
    out: str | Path,
    *,
    val: float = 0.0,
    seed: int = 0,
    stratify: bool = False,
    on_sample: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes a data set as `images/SPLIT/NAME`, `masks/SPLIT/NAME.png` and `classes.txt`.

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
        raise DataError(f"{out}: it is there already and not empty: choose a new folder")
    val = fraction(val, "val")
    parts = (dataset,) if isinstance(dataset, Dataset) else tuple(dataset)
    if any(part.classes != parts[0].classes for part in parts):
        raise DataError(f"{parts[0].name}: its splits have different classes")
    if val:
        parts = sum(parts[1:], parts[0]).split(val, seed=seed, stratify=stratify)
    total = sum(map(len, parts))
    done = 0
    for part in parts:
        taken: set[str] = set()
        for index in range(len(part)):
            name = _free_name(part.name_of(index), taken)
            image, labels = part.load(index)
            suffix, data = _image_file(part, index, image)
            write_bytes(_made(out / "images" / str(part.split)) / f"{name}{suffix}", data)
            write_bytes(
                _made(out / "masks" / str(part.split)) / f"{name}.png", _indexed_png(labels, part.palette)
            )
            done += 1
            if on_sample is not None:
                on_sample(done, total)
    write_text(out / "classes.txt", _class_list(parts[0]))
    return out


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _free_name(name: str, taken: set[str]) -> str:
    """A file name that no sample has yet, also where file systems ignore case."""
    name = name.replace("/", "_").replace("\\", "_").lstrip(".") or "sample"
    found, number = name, 2
    while found.casefold() in taken:
        found, number = f"{name}_{number}", number + 1
    taken.add(found.casefold())
    return found


def _image_file(dataset: Dataset, index: int, image: np.ndarray) -> tuple[str, bytes]:
    """The ending and bytes of a sample's image: those of its own file where it has one."""
    path = None
    if isinstance(dataset.samples, Sequence):
        path = dataset.samples[index].image
    else:
        source, number = dataset.samples, index
        while hasattr(source, "indices"):
            source, number = source.source, source.indices[number]
        if isinstance(source, DrawnMasks):
            path = source.images[number].image
    if path is not None:
        return path.suffix.lower(), read_regular(path, dataset.max_pixels)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return ".png", file.getvalue()


def _indexed_png(labels: np.ndarray, palette: Sequence[tuple[int, int, int]]) -> bytes:
    colours = [*palette, *default_palette(256)[len(palette) :]]
    image = Image.fromarray(labels)
    image.putpalette(bytes(channel for colour in colours for channel in colour))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _class_list(dataset: Dataset) -> str:
    """One class a line, with its colour where no two share one."""
    coloured = len(set(dataset.palette)) == len(dataset.palette)
    lines = []
    for name, colour in zip(dataset.classes, dataset.palette, strict=True):
        quoted = f'"{name}"'
        lines.append(f"{quoted} {' '.join(map(str, colour))}" if coloured else quoted)
    return "\n".join(lines) + "\n"
