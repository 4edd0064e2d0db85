"""Oxford-IIIT Pet (Parkhi et al. 2012): as its archives unpack, or as tensorflow-datasets prepares it."""

from __future__ import annotations

from pathlib import Path

from kseg.data.dataset import Dataset, Sample
from kseg.data.pairs import require_files
from kseg.data.reading.layout import check_split, inside, read_list
from kseg.data.sources.tfds_source import prepared
from kseg.errors import DataError

LAYOUT = "images/, annotations/trimaps/ and annotations/trainval.txt, test.txt"
CLASSES = ("pet", "background", "border")
PALETTE = ((220, 100, 60), (40, 60, 110), (250, 220, 120))
STORED_IDS = ((0, 255), (1, 0), (2, 1), (3, 2))
LISTS = {"train": "trainval.txt", "test": "test.txt"}
_FOLDERS = ("oxford-iiit-pet",)


def load_pet(root: str | Path | None, split: str = "train", complete: bool = True) -> Dataset:
    """The trimaps' ids 1 (pet), 2 (background) and 3 (border) become the classes 0, 1 and 2.

    `root` holds the unpacked `images` and `annotations` (or a folder `oxford-iiit-pet` that does), with the splits
    `train` (trainval.txt) and `test`; or it is tensorflow-datasets' folder, and `split` one of its splits or slices.
    """
    folders = [] if root is None else [Path(root), *(Path(root) / name for name in _FOLDERS)]
    folder = next((one for one in folders if (one / "annotations" / "trimaps").is_dir()), None)
    if folder is None:  # nothing of the archives lies there
        try:
            samples = prepared("oxford_iiit_pet", root, split, "image", "segmentation_mask")
        except DataError as error:
            if root is not None and (Path(root) / "oxford_iiit_pet").is_dir():
                raise
            archives = f"images.tar.gz and annotations.tar.gz there ({LAYOUT})"
            raise DataError(f"{error}; or unpack {archives}") from None
    else:
        images, trimaps = folder / "images", folder / "annotations" / "trimaps"
        if not images.is_dir():
            raise DataError(f"{folder}: no folder images/ beside annotations/; expected {LAYOUT}")
        check_split("oxford_iiit_pet", split, tuple(LISTS))
        source = folder / "annotations" / LISTS[split]
        names = [line.split()[0] for line in read_list(source, folder)]
        samples = tuple(
            Sample(inside(images, f"{name}.jpg", source), inside(trimaps, f"{name}.png", source))
            for name in names
        )
        if complete:
            require_files(samples, source)
    return Dataset("oxford_iiit_pet", split, CLASSES, PALETTE, samples, stored_ids=STORED_IDS)
