"""A look at a whole data set before training: what is missing, broken, mislabelled or lopsided."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kseg.data.dataset import Dataset, Sample, size_mismatch
from kseg.data.reading.files import MAX_PIXELS, image_size, png_palette, read_image, read_mask
from kseg.data.reading.links import stay_inside
from kseg.data.sources.folder import (
    existing_folder,
    mask_colours_of,
    pictures,
    read_classes,
    split_folders,
    splits_of,
)
from kseg.errors import DataError, SettingsError

IGNORE_LABEL = 255


@dataclass(frozen=True)
class Finding:
    """One thing found: its ``kind`` ("no mask"), the file, what it means; ``fatal`` if it stops training."""

    kind: str
    file: str
    message: str
    fatal: bool = True


@dataclass(frozen=True)
class Findings:
    """All that ``check`` found in a data set.

    Args:
        name: data set or folder.
        samples: number of pictures with a mask.
        classes: class names.
        pixels: labelled pixels of each class, and ``pictures``: pictures where it occurs.
        ignored: pixels with the ignore label.
        findings: problems and notes, problems first.
        ignore_label: the id of those pixels.
    """

    name: str
    samples: int
    classes: tuple[str, ...]
    pixels: tuple[int, ...]
    pictures: tuple[int, ...]
    ignored: int
    findings: tuple[Finding, ...]
    ignore_label: int = IGNORE_LABEL

    @property
    def ok(self) -> bool:
        """True where nothing was found that stops training."""
        return not any(finding.fatal for finding in self.findings)

    def to_json(self) -> dict:
        """Everything as plain lists and numbers, for ``json.dumps``."""
        return {**asdict(self), "ok": self.ok}

    def table(self) -> str:
        """Problems, notes and the label histogram as text."""
        problems = [finding for finding in self.findings if finding.fatal]
        notes = [finding for finding in self.findings if not finding.fatal]
        lines = [f"{self.name}: {self.samples} pictures with masks, {len(problems)} problem(s)"]
        lines += [f"  problem, {finding.kind}: {finding.message}" for finding in problems]
        lines += [f"  note, {finding.kind}: {finding.message}" for finding in notes]
        return "\n".join([*lines, *self._histogram()])

    def _histogram(self) -> list[str]:
        total = max(sum(self.pixels) + self.ignored, 1)
        width = max(len(name) for name in (*self.classes, "(ignored)"))
        largest = max(*self.pixels, self.ignored, 1)
        rows = [(str(i), name, self.pixels[i], str(self.pictures[i])) for i, name in enumerate(self.classes)]
        rows.append((str(self.ignore_label), "(ignored)", self.ignored, ""))
        lines = [f"{'id':>4}  {'class':{width}}  {'pixels':>13}  {'share':>7}  {'pictures':>8}"]
        for label, name, pixels, count in rows:
            bar = "#" * round(20 * pixels / largest)
            lines.append(
                f"{label:>4}  {name:{width}}  {pixels:>13,}  {pixels / total:>7.2%}  {count:>8}  {bar}"
            )
        return [line.rstrip() for line in lines]


def check(
    source: Dataset | str | Path,
    num_classes: int | None = None,
    on_sample: Callable[[int, int], None] | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Findings:
    """Read every picture and mask of a data set and report all that is wrong, rather than stop at the first.

    Args:
        source: a ``Dataset``, or a folder that holds ``images/`` and ``masks/`` (all of its splits).
        num_classes: how many classes a folder has; without it ``classes.txt`` says so, or else the highest id
            found.
        on_sample: called with (done, total) after every sample, for a progress bar.
        max_pixels: larger pictures of a folder are not decoded; a ``Dataset`` has a limit of its own.

    Raises:
        DataError: the folder does not exist or has no ``images/`` and ``masks/``.
    """
    doctor = _Doctor(source.max_pixels if isinstance(source, Dataset) else max_pixels)
    if isinstance(source, Dataset):
        doctor.classes, doctor.ignore_label = source.classes, source.ignore_label
        for index in range(len(source)):
            if isinstance(source.samples, Sequence):
                doctor.examine(source.samples[index], source.mask_colours, source.to_labels)
            else:
                doctor.examine_array(source, index)
            _report(on_sample, index + 1, len(source))
        return doctor.conclude(source.name)
    if num_classes is not None and not 1 <= num_classes <= IGNORE_LABEL:
        raise SettingsError(f"a data set has 1 to 255 classes, got {num_classes}")
    root = existing_folder(source, "images/ and masks/")
    colours = ()
    stay_inside(root, [root / "classes.txt"])
    if (root / "classes.txt").is_file():
        doctor.classes, named = read_classes(root / "classes.txt")
        colours = mask_colours_of(doctor.classes, named)
    if num_classes is not None:
        doctor.classes = tuple(f"class {index}" for index in range(num_classes))
    samples = [sample for split in splits_of(root) for sample in doctor.pair(*split_folders(root, split))]
    for done, sample in enumerate(samples, start=1):
        if doctor.lies_inside(root, sample):
            doctor.examine(sample, colours)
        _report(on_sample, done, len(samples))
    return doctor.conclude(root.resolve().name)


def _report(on_sample, done: int, total: int) -> None:
    if on_sample is not None:
        on_sample(done, total)


class _Doctor:
    """Gathers findings and label counts over the samples of one data set."""

    def __init__(self, max_pixels: int = MAX_PIXELS):
        self.max_pixels = max_pixels
        self.classes: tuple[str, ...] | None = None
        self.ignore_label = IGNORE_LABEL
        self.findings: list[Finding] = []
        self.counts = np.zeros(256, np.int64)
        self.pictures = np.zeros(256, np.int64)
        self.samples = 0
        self.palettes: dict[bytes, Path] = {}

    def find(self, kind: str, file, message: str, fatal: bool = True) -> None:
        self.findings.append(Finding(kind, str(file), message, fatal))

    def pair(self, images: Path, masks: Path) -> list[Sample]:
        """The pictures that have a mask; the others, and masks without a picture, are findings."""
        if not masks.is_dir():
            self.find(
                "no folder", masks, f"{masks}: the folder does not exist; expected the masks of {images}"
            )
            return []
        found, labelled = pictures(images), pictures(masks)
        if not found:
            self.find("no pictures", images, f"{images}: no pictures found")
        for stem, paths in found.items():
            if stem not in labelled:
                self.find("no mask", paths[0], f"{paths[0]}: no mask; expected {masks / stem}.png")
        for stem, paths in labelled.items():
            if stem not in found:
                self.find(
                    "no picture", paths[0], f"{paths[0]}: a mask without a picture in {images}", fatal=False
                )
        for paths in (*found.values(), *labelled.values()):
            if len(paths) > 1:
                self.find(
                    "same name",
                    paths[1],
                    f"{paths[1]}: {paths[0].name} has the same name; remove or rename one",
                )
        return [Sample(paths[0], labelled[stem][0]) for stem, paths in found.items() if stem in labelled]

    def lies_inside(self, root: Path, sample: Sample) -> bool:
        """Whether no link leads out of the data set's folder; else that is a finding."""
        try:
            stay_inside(root, (sample.image, sample.mask))
        except DataError as error:
            self.find("link", sample.image, str(error))
            return False
        return True

    def examine(self, sample: Sample, colours=(), to_labels=None) -> None:
        """A picture and its mask as files; ``to_labels`` turns stored ids into class ids."""
        image, mask = None, None
        if os.path.isfile(sample.image):
            image = self._read(read_image, sample.image)
        else:
            self.find(
                "no picture", sample.image, f"{sample.image}: no such file, though the data set lists it"
            )
        if sample.mask is None or not os.path.isfile(sample.mask):
            expected = "" if sample.mask is None else f"; expected {sample.mask}"
            self.find("no mask", sample.image, f"{sample.image}: this picture has no mask{expected}")
        else:
            mask = self._read(read_mask, sample.mask, colours=colours)
        if image is not None and mask is not None and image.shape[:2] != mask.shape:
            message = size_mismatch(str(sample.image), image.shape[:2], str(sample.mask), mask.shape)
            self.find("size", sample.mask, message)
        if mask is not None:
            self.palettes.setdefault(png_palette(sample.mask), sample.mask)
            self.count(mask if to_labels is None else to_labels(mask), str(sample.mask))

    def examine_array(self, dataset: Dataset, index: int) -> None:
        """A sample that is no file (tfds)."""
        try:
            _, mask, name = dataset.read(index)
        except DataError as error:
            self.find("unreadable", dataset.name_of(index), str(error))
        else:
            self.count(dataset.to_labels(mask), name)

    def count(self, labels: np.ndarray, file: str) -> None:
        counts = np.bincount(labels.ravel(), minlength=256)
        self.samples += 1
        self.counts += counts
        self.pictures += counts > 0
        if self.classes is None:
            return
        unknown = [
            int(i) for i in np.flatnonzero(counts) if i >= len(self.classes) and i != self.ignore_label
        ]
        if unknown:
            ids = ", ".join(f"{i} ({counts[i]} pixels)" for i in unknown)
            message = f"{file}: class id {ids}, but the classes are 0 to {len(self.classes) - 1}"
            self.find("unknown class", file, message)

    def conclude(self, name: str) -> Findings:
        used = np.flatnonzero(self.counts[:IGNORE_LABEL])
        given = self.classes is not None
        highest = int(used.max(initial=0))
        classes = self.classes if given else tuple(f"class {index}" for index in range(highest + 1))
        if not given and highest == 0 and self.counts[IGNORE_LABEL]:
            message = "the masks hold only 0 and 255, and 255 means ignored: store the classes as 0 and 1"
            self.find("palette", name, message)
        elif not given and highest > 20 and len(used) <= highest // 2:
            ids = ", ".join(map(str, used))
            message = f"the ids {ids} leave most of 0 to {highest} unused: grey levels rather than class ids?"
            self.find("palette", name, message)
        if len(self.palettes) > 1:
            files = " and ".join(str(path) for path in list(self.palettes.values())[:2])
            message = f"{files} have different palettes; the indices count, not the colours"
            self.find("palette", name, message, fatal=False)
        for index, label in enumerate(classes):
            if not self.counts[index]:
                self.find("empty class", name, f"class {index} ({label}) occurs in no mask", fatal=False)
        return Findings(
            name,
            self.samples,
            classes,
            tuple(map(int, self.counts[: len(classes)])),
            tuple(map(int, self.pictures[: len(classes)])),
            int(self.counts[self.ignore_label]),
            tuple(sorted(self.findings, key=lambda finding: not finding.fatal)),
            self.ignore_label,
        )

    def _read(self, reader, path: Path, **settings) -> np.ndarray | None:
        try:
            return reader(path, self.max_pixels, **settings)
        except DataError as error:
            self.find(_kind(path, reader, self.max_pixels), path, str(error))
            return None


def _kind(path: Path, reader, max_pixels: int) -> str:
    """Why a file could not be read, in two words."""
    try:
        height, width = image_size(path)
        if height * width > max_pixels:
            return "huge"
        if reader is read_mask:
            read_image(path, max_pixels)
            return "palette"  # it is a sound picture, but does not hold class ids
    except DataError:
        pass
    return "unreadable"
