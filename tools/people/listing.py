"""The images of the development data by source and split, and their masks of people."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PERSON, IGNORED = 15, 255  # of PASCAL VOC
# Images that show people (most of them hands and legs) whom their masks leave out, found by looking at those images
# without people in which `people` or DeepLabv3 saw most.
UNMARKED = frozenset(Path(__file__).with_name("unmarked.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True)
class Entry:
    """One image: its source, its split, its file, and the file of its mask or None."""

    source: str
    split: str
    image: Path
    mask: Path | None

    @property
    def name(self) -> str:
        return f"{self.source}/{self.split}/{self.image.stem}"

    def read_mask(self) -> np.ndarray | None:
        """uint8 (height, width): 0, 1 person, 255 ignored."""
        from PIL import Image

        if self.mask is None:
            return None
        mask = np.asarray(Image.open(self.mask))
        if self.source == "voc_people":  # all of VOC's classes
            mask = np.where(mask == IGNORED, IGNORED, mask == PERSON).astype(np.uint8)
        return mask


def listing(root: Path, limit: int | None = None) -> list[Entry]:
    """Every image but those of `UNMARKED`, or about `limit` of them, evenly spaced within each source and split."""
    found = [*_voc(root / "voc_people/VOCdevkit/VOC2012"), *_clothing(root / "ccp_people")]
    for source in ("coco128", "voc_vehicles", "voc_animals", "rooms"):
        for split in ("train", "val"):
            for image in sorted((root / source / "images" / split).iterdir()):
                mask = root / source / "masks" / split / f"{image.stem}.png"
                found.append(Entry(source, split, image, mask))
    unlabelled = sorted((root / "unlabelled_people/images").iterdir())
    found += [Entry("unlabelled_people", "train", image, None) for image in unlabelled]
    found = [entry for entry in found if entry.name not in UNMARKED]
    return found[:: max(1, len(found) // limit)] if limit else found


def _voc(folder: Path) -> list[Entry]:
    return [
        Entry(
            "voc_people",
            split,
            folder / "JPEGImages" / f"{name}.jpg",
            folder / "SegmentationClass" / f"{name}.png",
        )
        for split in ("train", "val")
        for name in (folder / f"ImageSets/Segmentation/{split}.txt").read_text().split()
    ]


def _clothing(folder: Path) -> list[Entry]:
    """Clothing Co-Parsing has no splits: every tenth image is val's."""
    return [
        Entry(
            "ccp_people",
            "val" if number % 10 == 9 else "train",
            image,
            folder / "masks" / f"{image.stem}.png",
        )
        for number, image in enumerate(sorted((folder / "images").iterdir()))
    ]
