"""A folder of pictures and a folder of masks: the plainest labelled data set.

::

    ROOT/images/a.jpg  ROOT/masks/a.png            one split, "train", or
    ROOT/images/train/a.jpg  ROOT/masks/train/a.png  and the same below val/, test/, ...
    ROOT/classes.txt                               optional: one class a line, "name" or "name R G B"

A picture and its mask have the same name but for the ending (any of png, jpg, jpeg, bmp, webp). With colours
in ``classes.txt`` masks may be RGB pictures in these colours; a line named ``ignore`` gives the colour of
ignored pixels. Without ``classes.txt`` the classes are numbered up to the highest id found in the masks.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kseg.data.dataset import Dataset, Sample, colour_map
from kseg.data.reading.files import MAX_PIXELS, SUFFIXES, read_mask
from kseg.data.reading.links import stay_inside
from kseg.errors import DataError
from kseg.io.regular import read_regular

IGNORE_LABEL = 255


def load_folder(
    root: str | Path, split: str = "train", complete: bool = True, max_pixels: int = MAX_PIXELS
) -> Dataset:
    """The split ``split`` of a folder pair; DataError says what was expected and is missing (`pair`)."""
    root = existing_folder(root, "images/ and masks/")
    stay_inside(root, [root / "classes.txt"])
    if (root / "classes.txt").is_file():
        names, colours = read_classes(root / "classes.txt")
    else:
        names, colours = _count_classes(root, max_pixels), {}
    samples = pair(*split_folders(root, split), complete)
    palette = tuple(
        colours.get(name, drawn) for name, drawn in zip(names, colour_map(len(names)), strict=True)
    )
    return Dataset(
        root.resolve().name, split, names, palette, samples, mask_colours=mask_colours_of(names, colours)
    )


def existing_folder(root: str | Path | None, holds: str) -> Path:
    """``root`` as a path, or a DataError that says what it should hold."""
    if root is None:
        raise DataError(f"this data set needs its folder: give root, the folder that holds {holds}")
    root = Path(root)
    if not os.path.isdir(root):  # False for names that are too long, where pathlib raises
        found = "is a file" if os.path.exists(root) else "does not exist"
        raise DataError(f"{root}: the folder {found}; expected a folder that holds {holds}")
    return root


def split_folders(root: Path, split: str) -> tuple[Path, Path]:
    """The folders of the pictures and of the masks of one split."""
    splits = splits_of(root)
    if split not in splits:
        raise DataError(f"{root / 'images'}: no split {split!r}; found {', '.join(splits)}")
    if (root / "images" / split).is_dir():
        return root / "images" / split, root / "masks" / split
    return root / "images", root / "masks"


def splits_of(root: Path) -> list[str]:
    """The splits below ``images/``; a folder without subfolders is one split, "train"."""
    for part in ("images", "masks"):
        if not (root / part).is_dir():
            found = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
            raise DataError(f"{root}: expected the folders images/ and masks/, and found {found}")
    entries = [entry for entry in (root / "images").iterdir() if entry.is_dir()]
    return sorted(entry.name for entry in entries if not entry.name.startswith(".")) or ["train"]


def pictures(folder: Path) -> dict[str, list[Path]]:
    """The picture files of a folder by name without ending, sorted."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
            found.setdefault(path.stem, []).append(path)
    return found


def pair(images: Path, masks: Path, complete: bool = True) -> tuple[Sample, ...]:
    """Every picture with its mask; DataError where there is no picture, or a picture has no mask, or two.

    Without ``complete`` a missing mask is left for the reader to find (``kseg.data.check`` wants all of them).
    """
    if not masks.is_dir():
        raise DataError(f"{masks}: the folder does not exist; expected the masks of the pictures in {images}")
    found, labelled = pictures(images), pictures(masks)
    if not found:
        raise DataError(f"{images}: no pictures found; expected files ending in {', '.join(SUFFIXES)}")
    for stem, paths in found.items():
        if len(paths) > 1 or len(labelled.get(stem, ())) > 1:
            twins = paths if len(paths) > 1 else labelled[stem]
            raise DataError(
                f"{twins[0]} and {twins[1].name}: two files of the same name: remove or rename one"
            )
    missing = [paths[0] for stem, paths in found.items() if stem not in labelled]
    if missing and complete:
        more = f" (and {len(missing) - 1} more pictures without a mask)" if len(missing) > 1 else ""
        raise DataError(f"{missing[0]}: no mask found; expected {masks / missing[0].stem}.png{more}")
    expected = {stem: [masks / f"{stem}.png"] for stem in found}
    return tuple(Sample(paths[0], (expected | labelled)[stem][0]) for stem, paths in found.items())


def read_classes(path: Path) -> tuple[tuple[str, ...], dict[str, tuple[int, int, int]]]:
    """Class names in order, and the colours given for them (with ``ignore``, which is no class)."""
    names, colours = [], {}
    try:
        # Editors on Windows begin a file with a mark.
        text = read_regular(path, max_pixels=0).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not a text in UTF-8: save it again in that encoding") from None
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        name, colour = " ".join(words), None
        if len(words) > 3 and all(word.isdecimal() for word in words[-3:]):
            name, colour = (
                " ".join(words[:-3]),
                tuple(int(word) if len(word) < 9 else 256 for word in words[-3:]),
            )
        if name == "ignore" and colour is None:
            raise DataError(
                f"{path}, line {number}: ignore is no class and has no id; give the colour of ignored pixels "
                f"(ignore R G B), or leave the line out: in masks of ids they are {IGNORE_LABEL}"
            )
        if name in names or name in colours or (colour and (colour in colours.values() or max(colour) > 255)):
            raise DataError(
                f"{path}, line {number}: {line.strip()!r} repeats a name or colour, or is no colour 0-255"
            )
        if name != "ignore":
            names.append(name)
        if colour:
            colours[name] = colour
    if len(names) > IGNORE_LABEL:
        raise DataError(f"{path}: {len(names)} classes; ids are 0 to 254, so at most 255 can be told apart")
    if not names:
        raise DataError(f'{path}: no class names; expected one class a line, "name" or "name R G B"')
    return tuple(names), colours


def mask_colours_of(names: tuple[str, ...], colours: dict) -> tuple[tuple[tuple[int, int, int], int], ...]:
    """(colour, class id) pairs, as ``Dataset.mask_colours``; the name ``ignore`` stands for 255."""
    ids = {name: index for index, name in enumerate(names)} | {"ignore": IGNORE_LABEL}
    return tuple((colour, ids[name]) for name, colour in colours.items())


def _count_classes(root: Path, max_pixels: int) -> tuple[str, ...]:
    """Names for the ids found in all masks of all splits, so that every split has the same classes.

    A split without masks (pictures to predict) tells nothing and is no mistake here.
    """
    highest, ignored = 0, False
    for folder in (split_folders(root, split)[1] for split in splits_of(root)):
        for mask in (
            (path for twins in pictures(folder).values() for path in twins) if folder.is_dir() else ()
        ):
            stay_inside(root, [mask])
            ids = np.flatnonzero(np.bincount(read_mask(mask, max_pixels).ravel(), minlength=256))
            ignored |= bool(ids[-1] == IGNORE_LABEL)
            highest = max(highest, int(ids[ids != IGNORE_LABEL].max(initial=0)))
    if highest == 0 and ignored:
        raise DataError(
            f"{root / 'masks'}: the masks hold only 0 and 255, and 255 means ignored: store the classes as 0 "
            "and 1, or write a classes.txt"
        )
    return tuple(f"class {index}" for index in range(highest + 1))
