"""The Semantic Boundaries Dataset (Hariharan et al. 2011): masks for 11,355 images of PASCAL VOC.

::

    benchmark_RELEASE/dataset/img/2008_000002.jpg
    benchmark_RELEASE/dataset/cls/2008_000002.mat      GTcls.Segmentation
    benchmark_RELEASE/dataset/train.txt, val.txt       8498 and 2857 names
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kseg.data.dataset import Sample
from kseg.data.reading.layout import inside, read_list
from kseg.errors import DataError

LAYOUT = "benchmark_RELEASE/dataset with img/, cls/, train.txt and val.txt, below root"
_FOLDERS = ("benchmark_RELEASE/dataset", "benchmark_RELEASE", "SBD", "sbd", "dataset", ".")


def find_sbd(root: Path, year_folder: Path) -> Path | None:
    """SBD's folder in the folder `VOC2012` or in those around it up to `root`, or None."""
    around = [folder for folder in year_folder.parents if folder == root or root in folder.parents]
    for base in (year_folder, *around):
        for name in _FOLDERS:
            if (base / name / "cls").is_dir():
                return base / name
    return None


def sbd_samples(folder: Path, split: str) -> tuple[Sample, ...]:
    """SBD's own split `train` or `val`."""
    return tuple(_sample(folder, name, source) for name, source in _names(folder, (split,)).items())


def augmented_samples(
    year_folder: Path, folder: Path, train: Iterable[str], val: Iterable[str]
) -> tuple[Sample, ...]:
    """VOC's train and all of SBD without VOC's val (10,582 images), as DeepLab and PSPNet train on.

    Args:
        year_folder: `VOC2012`.
        folder: SBD's.
        train, val: names in VOC's lists. Images of `train` keep VOC's own mask.
    """
    sources = _names(folder, ("train", "val"))
    own, excluded = set(train), set(val)
    samples = []
    for name in sorted((own | set(sources)) - excluded):
        if name in own:
            mask = inside(year_folder / "SegmentationClass", f"{name}.png", year_folder)
            samples.append(Sample(inside(year_folder / "JPEGImages", f"{name}.jpg", year_folder), mask))
        else:
            sample = _sample(folder, name, sources[name])
            image = year_folder / "JPEGImages" / f"{name}.jpg"
            samples.append(Sample(image if image.is_file() else sample.image, sample.mask))
    return tuple(samples)


def _names(folder: Path, splits: Iterable[str]) -> dict[str, Path]:
    """Names in SBD's lists, with the list that each comes from."""
    lists = [folder / f"{split}.txt" for split in splits]
    missing = [path.name for path in lists if not path.is_file()]
    if missing:
        raise DataError(f"{folder}: no {' and no '.join(missing)}; expected {LAYOUT}")
    return {line: path for path in lists for line in read_list(path, folder)}


def _sample(folder: Path, name: str, source: Path) -> Sample:
    image = inside(folder / "img", f"{name}.jpg", source)
    return Sample(image, inside(folder / "cls", f"{name}.mat", source))
