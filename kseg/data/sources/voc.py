"""PASCAL VOC 2012 segmentation (Everingham et al.), and its SBD-augmented list (Hariharan et al. 2011)."""

from __future__ import annotations

from pathlib import Path

from kseg.data.dataset import Dataset, Sample
from kseg.data.pairs import require_files
from kseg.data.reading.layout import contents_of, existing_folder, inside, read_list
from kseg.data.sources.sbd import LAYOUT as SBD_LAYOUT
from kseg.data.sources.sbd import augmented_samples, find_sbd, sbd_samples
from kseg.errors import DataError
from kseg.io.colour_map import colour_map

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip
_AUGMENTED = ("train_aug", "trainaug")
_OF_SBD = {"sbd_train": "train", "sbd_val": "val"}


def load_voc(root: str | Path | None, split: str = "train", complete: bool = True) -> Dataset:
    """A list of `ImageSets/Segmentation` (`train`, `val`, `trainval`, ...), or one with SBD's masks.

    `train_aug` is the list of that name with the masks of `SegmentationClassAug`; where they are missing, VOC's train
    and all of SBD without VOC's val, from SBD's own files. `sbd_train` and `sbd_val` are SBD's.

    `root` is the folder `VOC2012`, `VOCdevkit`, or the one that holds it. Palette masks are read as class ids, 255 is
    void.
    """
    given = existing_folder(root, "VOCdevkit/VOC2012")
    folders = (given, given / "VOC2012", given / "VOCdevkit" / "VOC2012")
    root = next((one for one in folders if (one / "ImageSets" / "Segmentation").is_dir()), None)
    if root is None:
        raise DataError(
            f"{given}: expected VOCdevkit/VOC2012 with ImageSets/Segmentation, JPEGImages, SegmentationClass, and "
            f"found {contents_of(given)}"
        )
    lists = root / "ImageSets" / "Segmentation"
    if split in _OF_SBD or (split in _AUGMENTED and not (root / "SegmentationClassAug").is_dir()):
        sbd = find_sbd(given, root)
        if sbd is None:
            raise DataError(
                f"{given}: {split!r} needs the folder SegmentationClassAug with its list train_aug.txt, or SBD: "
                f"expected {SBD_LAYOUT}"
            )
        if split in _OF_SBD:
            samples = sbd_samples(sbd, _OF_SBD[split])
        else:
            train, val = (_read_lists(lists, part)[1] for part in ("train", "val"))
            samples = augmented_samples(root, sbd, train, val)
    else:
        masks = "SegmentationClassAug" if split in _AUGMENTED else "SegmentationClass"
        path, lines = _read_lists(lists, split)
        samples = []
        for words in map(str.split, lines):
            if len(words) == 2 and "/" in words[0]:  # "/JPEGImages/x.jpg /SegmentationClassAug/x.png"
                image, mask = (inside(root, word.lstrip("/"), path) for word in words)
            else:
                image = inside(root / "JPEGImages", f"{words[0]}.jpg", path)
                mask = inside(root / masks, f"{words[0]}.png", path)
            samples.append(Sample(image, mask))
        samples = tuple(samples)
    if complete:
        require_files(samples, f"the list of {split!r} in {lists}")
    return Dataset("voc", split, CLASSES, colour_map(len(CLASSES)), samples)


def _read_lists(lists: Path, split: str) -> tuple[Path, list[str]]:
    """The list's file (the first of two) and its lines."""
    files = [
        inside(lists, f"{name}.txt", lists) for name in (_AUGMENTED if split in _AUGMENTED else (split,))
    ]
    found = [path for path in files if path.is_file()][:1]
    if not found and split == "trainval":
        found = [lists / "train.txt", lists / "val.txt"]
    if not found or not all(path.is_file() for path in found):
        there = ", ".join(sorted(path.stem for path in lists.glob("*.txt"))) or "none"
        raise DataError(f"{lists}: no list {split}.txt; found the lists {there}")
    return found[0], [line for path in found for line in read_list(path, lists.parents[1])]
