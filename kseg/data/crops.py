"""Data sets of crops around objects: what DeconvNet is trained on, first by ground truth, then by proposals."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np

from kseg.data.dataset import Dataset
from kseg.data.objects import (
    BACKGROUND,
    Box,
    FindObjects,
    LabelledObject,
    box_overlaps,
    cut_out,
    find_objects,
    with_context,
)
from kseg.data.sources.as_dataset import as_dataset
from kseg.errors import DataError, SettingsError
from kseg.progress import Progress

Propose = Callable[[np.ndarray, int], np.ndarray]

CONTEXT = 1.2  # how much larger a crop is than its object or proposal, as at prediction
MOST_REPEATS = 8


@dataclass(frozen=True, slots=True)  # VOC's second stage has more than a million
class Crop:
    """One training example: the image's number, the box with its context, and the class it stands for."""

    image: int
    box: Box
    class_id: int


class Crops:
    """Crops of a data set's images, warped to one size: the `samples` of a `Dataset`.

    Beyond the image a crop is black and ignored. Ignored pixels stay ignored.

    Args:
        dataset: the images.
        crops: which parts of them.
        size: (height, width) of every crop; shapes are stretched, as at prediction. Bilinear for the image,
            nearest for the labels.
        only_centre: keep the labels of the crop's class; every other class becomes the background.
    """

    def __init__(
        self, dataset: Dataset, crops: Sequence[Crop], size: tuple[int, int], only_centre: bool = False
    ) -> None:
        self.dataset, self.crops, self.size = dataset, tuple(crops), tuple(size)
        self.only_centre = only_centre

    def __len__(self) -> int:
        return len(self.crops)

    def name_of(self, index: int) -> str:
        crop = self.crops[index]
        return f"{self.dataset.name_of(crop.image)}_{'_'.join(str(edge) for edge in crop.box)}"

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        crop, ignored = self.crops[index], self.dataset.ignore_label
        image, labels = self.dataset.load(crop.image)
        image = cv2.resize(cut_out(image, crop.box), self.size[::-1], interpolation=cv2.INTER_LINEAR)
        labels = cut_out(labels, crop.box, fill=ignored)
        rows, columns = (  # nearest: the pixel under each new pixel's centre, as bilinear resizing places them
            ((np.arange(new) + 0.5) * old / new).astype(np.intp)
            for old, new in zip(labels.shape, self.size, strict=True)
        )
        labels = labels[rows[:, None], columns]
        if self.only_centre:
            kept = (labels == crop.class_id) | (labels == ignored)
            labels = np.where(kept, labels, np.uint8(BACKGROUND))
        return image, labels


def object_crops(
    dataset: Dataset,
    *,
    size: tuple[int, int] = (250, 250),
    context: float = CONTEXT,
    only_centre: bool = True,
    most_repeats: int = MOST_REPEATS,
    find: FindObjects = find_objects,
    progress: Progress | None = None,
    bad: dict[int, str] | None = None,
) -> Dataset:
    """Make a data set with one crop for each object of the ground truth, the object at its centre.

    The first stage of DeconvNet's training: boxes are made 1.2 times larger and warped to 250x250 (of which
    training sees random 224x224), and only the class of the object is kept: everything else is background,
    ignored pixels excepted, which stay ignored. Class 0 must be the background.

    Args:
        dataset: labelled images, or what `as_dataset` takes. They are all read once, to find the objects.
        size: (height, width) of the crops.
        context: how much larger than the object's box a crop is.
        only_centre: False keeps all classes.
        most_repeats: crops of rarer classes are repeated until each class has as many as the most frequent
            one, but at most this often; 1 repeats none.
        find: called with (dataset, index, labels), gives the `LabelledObject`s of an image.
        progress: called with (images done, images in all).
        bad: where given, images that cannot be used are left out, and their numbers and reasons noted here.

    Returns:
        A `Dataset` with the classes and the ignore label of `dataset`, the same every time, so that
        `pipeline` and `fit` treat it, and resume, as with any other.

    Raises:
        DataError: an image that cannot be read (without `bad`), or no object in the whole data set.
        SettingsError: a setting out of its range.

    Reference:
        Noh et al., "Learning deconvolution network for semantic segmentation", ICCV 2015, sections 4.2 and
        5.1. How often a class is repeated at most is kseg's choice.

    Example:
    ```python
    crops = kseg.data.object_crops(train, size=(250, 250))
    ```
    """
    _check(size, context, most_repeats)
    dataset = as_dataset(dataset)

    def crops_of(index: int) -> list[Crop]:
        return _crops(index, find(dataset, index, dataset.load(index)[1]), context)

    found = _of_all_images(crops_of, len(dataset), progress, bad)
    if not found:
        raise DataError(
            f"data set {dataset.name}: no object found in the {len(dataset)} images of {dataset.split!r}; class 0 "
            f"({dataset.classes[BACKGROUND]}) counts as background, and objects have some hundred pixels"
        )
    return _cropped(dataset, balanced(found, most_repeats), size, only_centre, "objects")


def proposal_crops(
    dataset: Dataset,
    propose: Propose,
    *,
    count: int = 2000,
    overlap: float = 0.5,
    size: tuple[int, int] = (250, 250),
    context: float = CONTEXT,
    most_repeats: int = MOST_REPEATS,
    find: FindObjects = find_objects,
    progress: Progress | None = None,
    bad: dict[int, str] | None = None,
) -> Dataset:
    """Make a data set of crops at object proposals that overlap an object, with the labels of all classes.

    The second stage of DeconvNet's training, whose objects lie as they do at prediction.

    Args:
        dataset: labelled images, or what `as_dataset` takes. They are all read, and proposals made for them.
        propose: called with (image, count), gives boxes (N, 4) of top, left, bottom, right, such as
            `kseg.inference.edge_box_proposals`, or a `ProposalCache` of them, which remembers.
        count: the most proposals of an image.
        overlap: a proposal is used if its box's intersection over union with that of an object is at least
            this; it stands for the class of the object that it meets best.
        size, context, most_repeats, find, progress, bad: as for `object_crops`.

    Returns:
        A `Dataset`, as of `object_crops`.

    Raises:
        DataError: an image that cannot be read (without `bad`), or no proposal that meets an object.
        SettingsError: a setting out of its range.

    Reference:
        Noh et al., "Learning deconvolution network for semantic segmentation", ICCV 2015, sections 4.2 and
        5.1 (release: 2.7 million crops for VOC).

    Example:
    ```python
    crops = kseg.data.proposal_crops(train, kseg.inference.edge_box_proposals, count=2000)
    ```
    """
    _check(size, context, most_repeats)
    if not 0 < overlap <= 1 or count < 1:
        raise SettingsError(f"overlap is above 0 and at most 1, count at least 1; got {overlap} and {count}")
    dataset = as_dataset(dataset)

    def crops_of(index: int) -> list[Crop]:
        image, labels = dataset.load(index)
        objects = find(dataset, index, labels)
        if not objects:
            return []
        boxes = np.asarray(propose(image, count)).reshape(-1, 4)
        overlaps = np.stack([box_overlaps(boxes, one.box) for one in objects], axis=1)
        best = overlaps.argmax(axis=1)
        meeting = [
            LabelledObject(objects[best[i]].class_id, tuple(int(edge) for edge in boxes[i]))
            for i in np.flatnonzero(overlaps.max(axis=1, initial=0) >= overlap)
        ]
        return _crops(index, meeting, context)

    found = _of_all_images(crops_of, len(dataset), progress, bad)
    if not found:
        raise DataError(
            f"data set {dataset.name}: no proposal meets an object by {overlap:g} in the {len(dataset)} images of "
            f"{dataset.split!r}: take a smaller overlap or more proposals"
        )
    return _cropped(dataset, balanced(found, most_repeats), size, False, "proposals")


def balanced(crops: Sequence[Crop], most_repeats: int) -> list[Crop]:
    """The crops, and after them those of rarer classes again, up to the most frequent class's count or
    `most_repeats` times their own.
    """
    by_class: dict[int, list[Crop]] = {}
    for crop in crops:
        by_class.setdefault(crop.class_id, []).append(crop)
    most = max(map(len, by_class.values()), default=0)
    result = list(crops)
    for _, own in sorted(by_class.items()):
        more = min(most, most_repeats * len(own)) - len(own)
        result += [own[i % len(own)] for i in range(more)]
    return result


def _crops(image: int, objects: Sequence[LabelledObject], context: float) -> list[Crop]:
    boxes = with_context([one.box for one in objects], context).tolist()
    return [Crop(image, tuple(box), one.class_id) for box, one in zip(boxes, objects, strict=True)]


def _cropped(
    dataset: Dataset, crops: list[Crop], size: tuple[int, int], only_centre: bool, kind: str
) -> Dataset:
    source = Crops(dataset, crops, size, only_centre)
    # The images' own data set has turned stored ids and colours into class ids.
    return replace(dataset, name=f"{dataset.name} {kind}", samples=source, stored_ids=(), mask_colours=())


def _of_all_images(
    function: Callable[[int], list[Crop]], count: int, progress: Progress | None, bad: dict[int, str] | None
) -> list[Crop]:
    """The crops of every image, in the images' order, some images at a time."""

    def crops_of(index: int) -> list[Crop]:
        try:
            return function(index)
        except DataError as error:
            if bad is None:
                raise
            bad[index] = str(error)
            return []

    result = []
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for done, crops in enumerate(pool.map(crops_of, range(count)), 1):
            result += crops
            if progress is not None:
                progress(done, count)
    finally:
        pool.shutdown(cancel_futures=True)
    return result


def _check(size: tuple[int, int], context: float, most_repeats: int) -> None:
    pair = isinstance(size, (tuple, list)) and len(size) == 2 and min(size) >= 1
    if not pair or not 0 < context < 100 or most_repeats < 1:
        raise SettingsError(
            "size is (height, width) in pixels, context above 0 and below 100, most_repeats 1 or more; got "
            f"{size!r}, {context} and {most_repeats}"
        )
