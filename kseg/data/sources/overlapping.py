"""Masks of classes that overlap, as files: a folder of masks for each class.

::

    ROOT/images/a.jpg        ROOT/masks/road/a.png        ROOT/masks/puddle/a.png         one split, "train", or
    ROOT/images/train/a.jpg  ROOT/masks/train/road/a.png  ROOT/masks/train/puddle/a.png   and the same below val/, ...
    ROOT/classes.txt         road and puddle, a line each

A mask is 1 where the class is, 0 where it is not, and 255 where pixels are ignored; or 255 where the class is, if all
masks of the data set hold only 0 and 255. Every image has a mask of every class, all 0 where the class is not in it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kseg.data.pairs import Sample, pair
from kseg.errors import DataError
from kseg.io.image_file import SUFFIXES


def class_folders(images: Path, masks: Path, classes: Sequence[str]) -> tuple[Path, ...]:
    """The folder of masks of each class; () where none of the classes has one, and masks are one file an image.

    Raises:
        DataError: some classes have a folder, and another has none.
    """
    # False for names that are too long, where pathlib raises
    found = [name for name in classes if os.path.isdir(masks / name) and not os.path.isdir(images / name)]
    missing = [name for name in classes if name not in found]
    if found and missing:
        raise DataError(
            f"{masks / missing[0]}: no such folder, though {found[0]} has one: where classes overlap, each has a "
            "folder of masks, with the names of the images"
        )
    return tuple(masks / name for name in found)


def pair_by_class(
    images: Path, folders: Sequence[Path], complete: bool = True, suffixes: Sequence[str] = SUFFIXES
) -> tuple[Sample, ...]:
    """Every image with its masks, one a class; see `kseg.data.pairs.pair`."""
    columns = [pair(images, folder, complete, suffixes) for folder in folders]
    return tuple(
        Sample(row[0].image, tuple(sample.mask for sample in row), row[0].name)
        for row in zip(*columns, strict=True)
    )


def refuse_unnamed_folders(images: Path, masks: Path) -> None:
    """DataError where masks lie in folders that the images do not have, and no class list names these."""
    if not masks.is_dir():
        return
    entries = [entry for entry in masks.iterdir() if not entry.name.startswith((".", "_"))]
    folders = sorted(entry.name for entry in entries if entry.is_dir())
    if folders and len(folders) == len(entries) and not any((images / name).is_dir() for name in folders):
        raise DataError(
            f"{masks}: it holds the folders {', '.join(folders[:8])} and no masks: where each is a class, and classes "
            "overlap, name them in classes.txt, one a line; else name the folders of the images alike"
        )
