"""Cityscapes, street scenes of 50 cities, 19 classes (Cordts et al. 2016)."""

from __future__ import annotations

from pathlib import Path

from kseg.data.dataset import Dataset, Sample
from kseg.data.reading.layout import check_split, locate
from kseg.errors import DataError

LAYOUT = "leftImg8bit/SPLIT/CITY/*_leftImg8bit.png and gtFine/SPLIT/CITY/*_gtFine_labelIds.png (or gtCoarse)"

CLASSES = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
)  # fmt: skip
PALETTE = (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
    (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
    (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
)  # fmt: skip
# Which of the 34 ids in the files are the 19 classes, in their order (cityscapesScripts, helpers/labels.py). The
# others are not evaluated.
IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
STORED_IDS = tuple((stored, IDS.index(stored) if stored in IDS else 255) for stored in range(34))

# split -> (folder of the images, annotations), one pair or several
_PARTS = {
    "train": (("train", "gtFine"),),
    "val": (("val", "gtFine"),),
    "test": (("test", "gtFine"),),
    "trainval": (("train", "gtFine"), ("val", "gtFine")),
    "train_coarse": (("train", "gtCoarse"),),
    "val_coarse": (("val", "gtCoarse"),),
    "train_extra": (("train_extra", "gtCoarse"),),
    "train_all": (("train", "gtFine"), ("train_extra", "gtCoarse")),
}


def load_cityscapes(root: str | Path | None, split: str = "train", complete: bool = True) -> Dataset:
    """A split of Cityscapes from the unpacked archives; ids 0 to 33 of the masks become the 19 classes.

    `train`, `val`, `test` and `trainval` have fine annotations (those of `test` are not public: all its pixels are
    ignored), `train_coarse`, `val_coarse` and `train_extra` coarse ones; `train_all` is `train` with `train_extra`.
    """
    check_split("cityscapes", split, tuple(_PARTS))
    folders = {"leftImg8bit", *(annotations for _, annotations in _PARTS[split])}
    root = locate(root, ("cityscapes", "Cityscapes"), sorted(folders), LAYOUT)
    samples: list[Sample] = []
    for part, kind in _PARTS[split]:
        images = locate(root / "leftImg8bit", (), (part,), LAYOUT) / part
        masks = locate(root / kind, (), (part,), LAYOUT) / part
        found = sorted(path for path in images.glob("*/*_leftImg8bit.png") if not path.name.startswith("."))
        if not found:
            raise DataError(f"{images}: no images CITY/*_leftImg8bit.png; expected {LAYOUT}")
        there = set(masks.glob(f"*/*_{kind}_labelIds.png"))
        missing = []
        for path in found:
            mask = f"{path.name.removesuffix('_leftImg8bit.png')}_{kind}_labelIds.png"
            samples.append(Sample(path, masks / path.parent.name / mask))
            if samples[-1].mask not in there:
                missing.append(samples[-1])
        if missing and complete:
            more = f" (and {len(missing) - 1} more images without a mask)" if len(missing) > 1 else ""
            raise DataError(f"{missing[0].image}: no mask found; expected {missing[0].mask}{more}")
    return Dataset("cityscapes", split, CLASSES, PALETTE, tuple(samples), stored_ids=STORED_IDS)
