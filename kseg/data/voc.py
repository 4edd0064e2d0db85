"""PASCAL VOC 2012 segmentation (Everingham et al.), and its SBD-augmented list (Hariharan et al. 2011)."""

from __future__ import annotations

from pathlib import Path

from kseg.data.dataset import Dataset, Sample, colour_map
from kseg.data.folder import existing_folder
from kseg.errors import DataError

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
_AUGMENTED = ("train_aug", "trainaug")


def load_voc(root: str | Path | None, split: str = "train", complete: bool = True) -> Dataset:
    """A list of ``ImageSets/Segmentation``: ``train``, ``val``, ``trainval``, or ``train_aug`` with the masks
    of ``SegmentationClassAug``.

    ``root`` is the folder ``VOC2012``, ``VOCdevkit``, or the one that holds it. Palette masks are read as
    class ids, 255 is void.
    """
    root = _year_folder(existing_folder(root, "VOCdevkit/VOC2012"))
    lists = root / "ImageSets" / "Segmentation"
    augmented = split in _AUGMENTED
    masks = "SegmentationClassAug" if augmented else "SegmentationClass"
    lines = _read_lists(lists, split)
    samples = tuple(_sample(root, line, masks) for line in lines)
    for sample in samples if complete else ():
        for path in (sample.image, sample.mask):
            if not path.is_file():
                raise DataError(f"{path}: no such file, though the list of {split!r} in {lists} names it")
    return Dataset("voc", split, CLASSES, colour_map(len(CLASSES)), samples)


def _year_folder(root: Path) -> Path:
    for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if (folder / "ImageSets" / "Segmentation").is_dir():
            return folder
    raise DataError(
        f"{root}: expected VOCdevkit/VOC2012 with ImageSets/Segmentation, JPEGImages, SegmentationClass"
    )


def _read_lists(lists: Path, split: str) -> list[str]:
    files = [lists / f"{name}.txt" for name in (_AUGMENTED if split in _AUGMENTED else (split,))]
    found = [path for path in files if path.is_file()][:1]
    if not found and split == "trainval":
        found = [lists / "train.txt", lists / "val.txt"]
    if not found or not all(path.is_file() for path in found):
        there = ", ".join(sorted(path.stem for path in lists.glob("*.txt"))) or "none"
        raise DataError(f"{lists}: no list {split}.txt; found the lists {there}")
    lines = [line.strip() for path in found for line in path.read_text().splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{found[0]}: the list is empty")
    return lines


def _sample(root: Path, line: str, masks: str) -> Sample:
    """A line is a name ("2007_000032"), or two paths ("/JPEGImages/x.jpg /SegmentationClassAug/x.png")."""
    words = line.split()
    if len(words) == 2 and "/" in words[0]:
        return Sample(root / words[0].lstrip("/"), root / words[1].lstrip("/"))
    return Sample(root / "JPEGImages" / f"{words[0]}.jpg", root / masks / f"{words[0]}.png")
