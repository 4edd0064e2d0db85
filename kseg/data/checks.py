"""A look at a whole data set before training: what is missing, broken, mislabelled or lopsided."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kseg.checks import whole
from kseg.data import as_dataset, pairs
from kseg.data.class_list import find_class_list, mask_colours_of, read_classes
from kseg.data.dataset import Dataset, Sample
from kseg.data.findings import IGNORE_LABEL, Finding, Findings, about_all_masks
from kseg.data.masks import size_mismatch
from kseg.data.reading.layout import existing_folder
from kseg.data.reading.links import stay_inside
from kseg.data.sources.folder import ids_of_two_values
from kseg.errors import DataError
from kseg.io.image_file import MAX_PIXELS, SUFFIXES
from kseg.io.images import image_size, read_image
from kseg.io.masks import png_palette, read_mask
from kseg.progress import Progress


def check(
    source: object, num_classes: int | None = None, on_sample: Progress | None = None, max_pixels: int = MAX_PIXELS
) -> Findings:
    """Reads every image and mask of a data set and reports all that is wrong, rather than stop at the first.

    Args:
        source: a folder that holds `images/` and `masks/` (all of its splits), or what `as_dataset` takes.
        num_classes: how many classes there are; without it a class list says so, or else the highest id found.
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
        source = as_dataset(source, num_classes)
        checks = _Checks(source.max_pixels, own=False)
        checks.classes, checks.ignore_label = source.classes, source.ignore_label
        for index in range(len(source)):
            if isinstance(source.samples, Sequence) and source.is_rgb and not source.multilabel:
                checks.examine(source.samples[index], source.mask_colours, source.to_labels)
            else:
                checks.examine_array(source, index)
            if on_sample is not None:
                on_sample(index + 1, len(source))
        return checks.conclude(source.name, len(source))
    if num_classes is not None:
        num_classes = whole(num_classes, "num_classes", 1, IGNORE_LABEL)
    root = existing_folder(source, "images/ and masks/")
    splits = pairs.splits_of(root)
    checks = _Checks(max_pixels, own=True)
    colours = checks.read_class_list(root, num_classes)
    samples = [sample for split in splits for sample in checks.pair(*pairs.split_folders(root, split))]
    for left in pairs.beside_splits(root):
        checks.find(left.kind, left.file, str(left))
        checks.images_found += left.file.is_file() and (root / "images") in left.file.parents
    to_labels = checks.two_values(root, colours)
    for done, sample in enumerate(samples, start=1):
        if checks.lies_inside(root, sample):
            checks.examine(sample, colours, to_labels)
        if on_sample is not None:
            on_sample(done, len(samples))
    return checks.conclude(root.resolve().name, checks.images_found)


class _Checks:
    """Gathers findings and label counts over the samples of one data set.

    Args:
        max_pixels: larger files are not decoded.
        own: whether the data set is the user's own, in which a class that never occurs is a problem.
    """

    def __init__(self, max_pixels: int, own: bool) -> None:
        self.max_pixels, self.own = max_pixels, own
        self.classes: tuple[str, ...] | None = None
        self.ignore_label, self.class_list = IGNORE_LABEL, ""
        self.findings: list[Finding] = []
        self.counts = np.zeros(256, np.int64)
        self.images_with = np.zeros(256, np.int64)
        self.samples = self.masks = self.images_found = 0
        self.palettes: dict[bytes, Path] = {}
        self.index_of: dict[bytes, tuple[int, Path]] = {}
        self.contents: dict[bytes, Path] = {}

    def find(self, kind: str, file: str | Path, message: str, fatal: bool = True) -> None:
        self.findings.append(Finding(kind, str(file), message, fatal))

    def read_class_list(self, root: Path, num_classes: int | None) -> tuple:
        """Sets the classes of a folder and returns the colours of its masks; a bad list is a finding."""
        colours, names = (), None
        try:
            path = find_class_list(root)
            if path is not None:
                names, named = read_classes(path)
                self.class_list = str(path)
                colours = mask_colours_of(names, named)
        except DataError as error:
            self.find("class list", root, str(error))
            return ()
        self.classes = names
        if num_classes is not None and (names is None or len(names) != num_classes):
            if names is not None:
                what = f"{path}: {len(names)} classes, but {num_classes} were said to be there"
                self.find("class list", path, what)
            self.classes = tuple(f"class {index}" for index in range(num_classes))
        return colours

    def pair(self, images: Path, masks: Path) -> tuple[Sample, ...]:
        """The images that have a mask; whatever is not used is a finding."""
        found = pairs.list_images(images)
        self.images_found += len(found.files)
        if not masks.is_dir():
            what = f"{masks}: the folder does not exist; expected the masks of {images}"
            self.find("no folder", masks, what)
            return ()
        labelled = pairs.list_images(masks)
        if not found.files:
            self.find("no images", images, f"{images}: no images found ({', '.join(SUFFIXES)})")
        unpaired = (*pairs.without_mask(found, labelled), *pairs.without_image(found, labelled))
        for left in (*unpaired, *found.left_out, *labelled.left_out):
            self.images_found += left.kind == "left out" and images in left.file.parents
            self.find(left.kind, left.file, str(left))
        for one, other in (*found.twins, *labelled.twins):
            self.find("same name", other, f"{other}: {one.name} has the same name; remove or rename one")
        return pairs.pairs_of(found, labelled)

    def two_values(self, root: Path, colours: tuple) -> Callable[[np.ndarray], np.ndarray] | None:
        """Turns masks of 0 and 255 into ids where the class list declares two classes."""
        if self.classes is None:
            return None
        try:
            stored = ids_of_two_values(root, len(self.classes), colours, self.max_pixels)
            if stored and find_class_list(root) is None:
                raise DataError(
                    f"{root / 'masks'}: the masks hold only 0 and 255, and 255 means ignored: store the classes as 0 "
                    "and 1, or write a classes.txt"
                )
        except DataError as error:
            self.find("palette", root / "masks", str(error))
            return None
        return (lambda mask: np.where(mask == 255, 1, mask).astype(np.uint8)) if stored else None

    def lies_inside(self, root: Path, sample: Sample) -> bool:
        """Whether no link leads out of the data set's folder; else that is a finding."""
        try:
            stay_inside(root, (sample.image, sample.mask))
        except DataError as error:
            self.find("link", sample.image, str(error))
            return False
        return True

    def examine(
        self, sample: Sample, colours: tuple = (), to_labels: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> None:
        """An image and its mask as files; `to_labels` turns stored ids into class ids."""
        before = self._problems()
        image, mask = self._read(read_image, sample.image, "no image"), None
        if image is not None and image.min() == image.max():
            what = f"{sample.image}: all pixels have the same value"
            self.find("blank image", sample.image, what, fatal=False)
        elif image is not None:
            content = hashlib.sha1(image.tobytes(), usedforsecurity=False).digest() + bytes(image.shape[0] % 256)
            other = self.contents.setdefault(content, sample.image)
            if other != sample.image:
                what = f"{sample.image}: the same image as {other}"
                self.find("same image", sample.image, what, fatal=False)
        if sample.mask is None:
            self.find("no mask", sample.image, f"{sample.image}: this image has no mask")
        elif not os.path.lexists(sample.mask):
            self.find("no mask", sample.image, f"{sample.image}: no mask; expected {sample.mask}")
        else:
            count = None if self.classes is None else len(self.classes)
            mask = self._read(read_mask, sample.mask, "no mask", colours=colours, num_classes=count)
        if image is not None and mask is not None and image.shape[:2] != mask.shape:
            message = size_mismatch(str(sample.image), image.shape[:2], str(sample.mask), mask.shape)
            self.find("size", sample.mask, message)
        if mask is not None:
            self._compare_palettes(sample.mask, mask, colours)
            self.count(mask if to_labels is None else to_labels(mask), str(sample.mask))
        self.samples += self._problems() == before

    def examine_array(self, dataset: Dataset, index: int) -> None:
        """A sample that is no file (tfds)."""
        before = self._problems()
        try:
            _, mask, name = dataset.read(index)
        except DataError as error:
            self.find("unreadable", dataset.name_of(index), str(error))
        else:
            self.count(dataset.to_labels(mask), name)
        self.samples += self._problems() == before

    def count(self, labels: np.ndarray, file: str) -> None:
        counts = np.bincount(labels.ravel(), minlength=256)
        self.masks += 1
        self.counts += counts
        self.images_with += counts > 0
        if counts[self.ignore_label] == labels.size:
            message = f"{file}: every pixel is {self.ignore_label}, ignored: the mask teaches nothing"
            self.find("all ignored", file, message, fatal=self.own)
        if self.classes is None:
            return
        present = [int(i) for i in np.flatnonzero(counts) if i != self.ignore_label]
        unknown = [i for i in present if i >= len(self.classes)]
        if unknown:
            ids = ", ".join(f"{i} ({counts[i]} pixels)" for i in unknown)
            message = f"{file}: class id {ids}, but the classes are 0 to {len(self.classes) - 1}"
            self.find("unknown class", file, message)

    def conclude(self, name: str, found: int) -> Findings:
        highest = int(np.flatnonzero(self.counts[:IGNORE_LABEL]).max(initial=0))
        classes = self.classes or tuple(f"class {index}" for index in range(highest + 1))
        if len(self.palettes) > 1:
            files = " and ".join(str(path) for path in list(self.palettes.values())[:2])
            message = f"{files} have different palettes; the indices count, not the colours"
            self.find("palette", name, message, fatal=False)
        if self.masks:
            told = name, self.counts, self.masks, self.classes, self.own, self.class_list
            self.findings += about_all_masks(*told)
        return Findings(
            name,
            self.samples,
            classes,
            tuple(map(int, self.counts[: len(classes)])),
            tuple(map(int, self.images_with[: len(classes)])),
            int(self.counts[self.ignore_label]),
            tuple(sorted(self.findings, key=lambda finding: not finding.fatal)),
            self.ignore_label,
            found,
        )

    def _problems(self) -> int:
        return sum(finding.fatal for finding in self.findings)

    def _compare_palettes(self, path: Path, mask: np.ndarray, colours: tuple) -> None:
        """Indices count: a colour that has another index than in the masks before means that they disagree."""
        palette = png_palette(path)
        self.palettes.setdefault(palette, path)
        if not palette or colours:
            return
        shown = {int(index): palette[3 * index : 3 * index + 3] for index in np.unique(mask)}
        for index, colour in shown.items():
            if len(colour) < 3 or list(shown.values()).count(colour) > 1:
                continue
            there, other = self.index_of.setdefault(colour, (index, path))
            if there != index:
                message = (
                    f"{path}: the colour {tuple(colour)} is index {index} here and {there} in {other}: the indices are "
                    "the class ids, and these palettes disagree: give the colours in classes.txt, or use one palette"
                )
                self.find("palette", path, message)
                return

    def _read(
        self, reader: Callable[..., np.ndarray], path: Path, missing: str, **settings: Any
    ) -> np.ndarray | None:
        if not os.path.lexists(path):
            self.find(missing, path, f"{path}: no such file, though the data set lists it")
            return None
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                pixels = reader(path, self.max_pixels, **settings)
        except DataError as error:
            kind = "unreadable"
            with contextlib.suppress(DataError):
                height, width = image_size(path)
                if height * width > self.max_pixels:
                    kind = "huge"
                elif reader is read_mask:
                    read_image(path, self.max_pixels)
                    kind = "palette"  # it is a sound image, but does not hold class ids
            self.find(kind, path, str(error))
            return None
        for warning in told:
            what = f"{path}: {str(warning.message).removeprefix(f'{path}: ')}"
            self.find("warning", path, what, fatal=False)
        return pixels
