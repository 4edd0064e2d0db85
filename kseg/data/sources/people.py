"""People: person against background, from PASCAL VOC and Clothing Co-Parsing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kseg.data.dataset import Dataset
from kseg.data.pairs import pair
from kseg.data.reading.layout import check_split, existing_folder
from kseg.data.reading.links import stay_inside
from kseg.data.sources.voc import load_voc
from kseg.errors import DataError

CLASSES = ("background", "person")
PALETTE = ((0, 0, 0), (40, 200, 120))
LAYOUT = "voc_people/VOCdevkit/VOC2012 (or VOCdevkit/VOC2012) and ccp_people/images, ccp_people/masks; or one of both"
SPLITS = ("train", "val", "train_plain", "val_plain")
FRAMED = ("val_portraits", "val_empty")  # splits that the presets were scored on
HELD_OUT = 10  # every tenth of Clothing Co-Parsing, which has no splits, is val


def load_people(root: str | Path | None, split: str = "train", complete: bool = True) -> Dataset:
    """Person / background of the folders in `LAYOUT`.

    VOC's own lists split VOC; of Clothing Co-Parsing every tenth image is val. `train_plain` and `val_plain` are
    older names of `train` and `val`. The images that the preset `people_portrait` was trained on, framed and lit
    like a webcam's, are made of these by tools/people/framed.py in kseg's repository.
    """
    if split in FRAMED:
        raise DataError(
            f"the split {split!r} of 'people' holds parts of val's images, which tools/people/framed.py in kseg's "
            f"repository cuts out; kseg itself loads {', '.join(SPLITS)}"
        )
    check_split("people", split, SPLITS)
    root = existing_folder(root, LAYOUT)
    found = parts(root, split.removesuffix("_plain"), complete)
    people = replace(found[0], name="people", split=split)
    return people if len(found) == 1 else replace(people + found[1], split=split)


def parts(root: Path, split: str, complete: bool) -> list[Dataset]:
    """VOC's images and those of Clothing Co-Parsing, as far as they are there; one of both at least."""
    found = []
    for folder in (root / "voc_people", root):
        if (folder / "VOCdevkit").is_dir():
            voc = load_voc(folder, split, complete)
            others = {name: "background" for name in voc.classes if name != "person"}
            found.append(replace(voc.remap(others), palette=PALETTE))
            break
    ccp = root / "ccp_people" if (root / "ccp_people").is_dir() else root
    if (ccp / "images").is_dir() and (ccp / "masks").is_dir():
        samples = tuple(
            sample
            for number, sample in enumerate(pair(ccp / "images", ccp / "masks", complete))
            if (number % HELD_OUT == HELD_OUT - 1) == (split == "val")
        )
        found.append(Dataset("people", split, CLASSES, PALETTE, samples))
    if not found:
        raise DataError(f"{root}: expected {LAYOUT}")
    stay_inside(root, (path for part in found for s in part.samples for path in (s.image, *s.masks)))
    return found
