"""A look at a whole data set before training: what is missing, broken, mislabelled or unbalanced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kseg.checks import whole
from kseg.data import as_dataset, pairs
from kseg.data.class_list import find_class_list, mask_colours_of, read_classes
from kseg.data.examination import RGB, Examination, ToLabels
from kseg.data.findings import IGNORE_LABEL, Findings
from kseg.data.masks import kind_of
from kseg.data.pairs import Sample
from kseg.data.reading.layout import existing_folder
from kseg.data.reading.links import stay_inside
from kseg.data.sources.folder import ids_of_two_values, read_channels, with_background
from kseg.data.sources.overlapping import class_folders, refuse_unnamed_folders
from kseg.errors import DataError
from kseg.io.bands import BAND_SUFFIXES
from kseg.io.image_file import MAX_PIXELS, SUFFIXES
from kseg.progress import Progress

ONE_CLASS = ("background", "class 1")


def check(
    source: object, num_classes: int | None = None, on_sample: Progress | None = None, max_pixels: int = MAX_PIXELS
) -> Findings:
    """Reads every image and mask of a data set and reports all that is wrong, rather than stop at the first.

    Args:
        source: a folder that holds `images/` and `masks/` (all of its splits), or what `as_dataset` takes.
        num_classes: how many classes there are; without it a class list says so, or else the highest id found. 1 is
            one class beside the background.
        on_sample: called with (done, total) after every sample, for a progress bar.
        max_pixels: larger images of a folder are not decoded; a `Dataset` has a limit of its own.

    Returns:
        A `Findings`, whose `ok` is False where something makes training fail or go wrong without a word.

    Raises:
        DataError: The folder does not exist or has no `images/` and `masks/`.

    Example:

    >>> images, masks = np.zeros((2, 8, 8, 3), "uint8"), np.zeros((2, 8, 8), "uint8")
    >>> findings = kseg.data.check((images, masks), num_classes=2)
    >>> print(findings.findings[0].message)
    data: all pixels of all 2 mask(s) are 0: nothing can be learned from them
    """
    if not isinstance(source, (str, Path)):
        own = getattr(source, "dataset", source)  # of a Loader
        declared = num_classes is not None or hasattr(own, "num_classes")
        source = as_dataset(source, ONE_CLASS if num_classes == 1 else num_classes if declared else IGNORE_LABEL)
        examination = Examination(source.max_pixels, own=False, kind=kind_of(source))
        examination.classes, examination.ignore_label = source.classes if declared else None, source.ignore_label
        for index in range(len(source)):
            if isinstance(source.samples, Sequence):
                examination.examine(source.samples[index], source.mask_colours, source.to_labels)
            else:
                examination.examine_array(source, index)
            if on_sample is not None:
                on_sample(index + 1, len(source))
        return examination.conclude(source.name, len(source))
    if num_classes is not None:
        num_classes = whole(num_classes, "num_classes", 1, IGNORE_LABEL)
    folder = _Folder(existing_folder(source, "images/ and masks/"), num_classes, max_pixels)
    samples = folder.samples()
    to_labels = folder.two_values()
    for done, sample in enumerate(samples, start=1):
        if folder.lies_inside(sample):
            folder.examination.examine(sample, folder.colours, to_labels)
        if on_sample is not None:
            on_sample(done, len(samples))
    return folder.examination.conclude(folder.root.resolve().name, folder.examination.images_found)


class _Folder:
    """A folder of `images/` and `masks/`, whose faults are findings rather than errors."""

    def __init__(self, root: Path, num_classes: int | None, max_pixels: int) -> None:
        self.root, self.max_pixels = root, max_pixels
        self.examination = Examination(max_pixels, own=True)
        self.colours: tuple = ()
        self.suffixes = SUFFIXES
        splits = pairs.splits_of(root)
        self.folders = {split: pairs.split_folders(root, split) for split in splits}
        kind = RGB
        try:
            if found := read_channels(root):
                kind, self.suffixes = RGB._replace(**found), BAND_SUFFIXES
        except DataError as error:
            self.examination.find("channels", root / "channels.json", str(error))
        names, named = self._class_list(num_classes)
        self.by_class = {split: self._class_folders(split, names) for split in splits}
        overlap = any(self.by_class.values())
        if names is not None and not overlap:
            names, named = with_background(names, named)
            self.colours = mask_colours_of(names, named)
        findings = self.examination
        self.examination = Examination(max_pixels, own=True, kind=kind._replace(multilabel=overlap))
        self.examination.findings, self.examination.class_list = findings.findings, findings.class_list
        self.examination.classes = names

    def _class_list(self, num_classes: int | None) -> tuple[tuple[str, ...] | None, dict]:
        """Names and colours of the classes; a bad list is a finding, and so is one of another length."""
        names, colours, path = None, {}, None
        try:
            path = find_class_list(self.root)
            if path is not None:
                names, colours = read_classes(path)
                self.examination.class_list = str(path)
        except DataError as error:
            self.examination.find("class list", self.root, str(error))
        if num_classes is None or (names is not None and len(names) == num_classes):
            return names, colours
        if names is not None:
            what = f"{path}: {len(names)} classes, but {num_classes} were said to be there"
            self.examination.find("class list", path, what)
        return ONE_CLASS if num_classes == 1 else tuple(f"class {index}" for index in range(num_classes)), {}

    def _class_folders(self, split: str, names: tuple[str, ...] | None) -> tuple[Path, ...]:
        """The folders of masks of classes that overlap; () where masks are one file an image."""
        images, masks = self.folders[split]
        try:
            if names is None:
                refuse_unnamed_folders(images, masks)
            return class_folders(images, masks, names or ())
        except DataError as error:
            self.examination.find("no folder", masks, str(error))
            return tuple(path for path in (masks / name for name in names or ()) if path.is_dir())

    def samples(self) -> list[Sample]:
        """The images that have all masks; whatever is not used is a finding."""
        found = []
        for split, (images, masks) in self.folders.items():
            folders = self.by_class[split]
            found += self._pair(images, folders or (masks,), by_class=bool(folders))
        for left in pairs.beside_splits(self.root):
            self.examination.find(left.kind, left.file, str(left))
            inside = (self.root / "images") in left.file.parents
            self.examination.images_found += left.file.is_file() and inside
        return found

    def _pair(self, images: Path, folders: tuple[Path, ...], by_class: bool) -> list[Sample]:
        find, suffixes = self.examination.find, self.suffixes
        found = pairs.list_images(images, suffixes=suffixes)
        self.examination.images_found += len(found.files)
        self.examination.images_found += sum(images in left.file.parents for left in found.left_out)
        if not found.files:
            find("no images", images, f"{images}: no images found ({', '.join(suffixes)})")
        for left in found.left_out:
            find(left.kind, left.file, str(left))
        twins, columns = list(found.twins), []
        for masks in folders:
            if not masks.is_dir():
                find(
                    "no folder", masks, f"{masks}: the folder does not exist; expected the masks of {images}"
                )
                return []
            labelled = pairs.list_images(masks, suffixes=suffixes)
            unpaired = (*pairs.without_mask(found, labelled), *pairs.without_image(found, labelled))
            for left in (*unpaired, *labelled.left_out):
                find(left.kind, left.file, str(left))
            twins += labelled.twins
            columns.append({sample.image: sample for sample in pairs.pairs_of(found, labelled)})
        for one, other in twins:
            find("same name", other, f"{other}: {one.name} has the same name; remove or rename one")
        if not by_class:
            return list(columns[0].values())
        return [
            Sample(image, tuple(column[image].mask for column in columns), sample.name)
            for image, sample in columns[0].items()
            if all(image in column for column in columns)
        ]

    def two_values(self) -> ToLabels | None:
        """Turns masks of 0 and 255 into ids where the class list declares two classes, or classes overlap."""
        names = self.examination.classes
        if names is None:
            return None
        try:
            count = 2 if self.examination.kind.multilabel else len(names)
            stored = ids_of_two_values(self.root, count, self.colours, self.max_pixels)
            if stored and find_class_list(self.root) is None:
                raise DataError(
                    f"{self.root / 'masks'}: the masks hold only 0 and 255, and 255 means ignored: store the classes "
                    "as 0 and 1, or write a classes.txt"
                )
        except DataError as error:
            self.examination.find("palette", self.root / "masks", str(error))
            return None
        return (lambda mask: np.where(mask == 255, 1, mask).astype(np.uint8)) if stored else None

    def lies_inside(self, sample: Sample) -> bool:
        """Whether no link leads out of the data set's folder; else that is a finding."""
        try:
            stay_inside(self.root, (sample.image, *sample.masks))
        except DataError as error:
            self.examination.find("link", sample.image, str(error))
            return False
        return True
