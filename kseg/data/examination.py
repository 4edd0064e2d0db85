"""The samples of a data set, looked at one after another: what is wrong with them, and what their masks hold."""

from __future__ import annotations

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kseg.data.dataset import Dataset
from kseg.data.findings import IGNORE_LABEL, Channel, Finding, Findings, about_all_masks, about_channels
from kseg.data.masks import Kind, size_mismatch
from kseg.data.pairs import Sample
from kseg.errors import DataError
from kseg.io.bands import BYTES, read_bands
from kseg.io.images import image_size, read_image
from kseg.io.masks import png_palette, read_mask

ToLabels = Callable[[np.ndarray], np.ndarray]
RGB = Kind(3, BYTES, False)


class Examination:
    """Gathers findings, label counts and the values of channels over the samples of one data set.

    Args:
        max_pixels: larger files are not decoded.
        own: whether the data set is the user's own, in which a class that never occurs is a problem.
        kind: channels and values of the images, and whether classes overlap.
    """

    def __init__(self, max_pixels: int, own: bool, kind: Kind = RGB) -> None:
        self.max_pixels, self.own, self.kind = max_pixels, own, kind
        self.rgb = kind._replace(multilabel=False) == RGB
        self.classes: tuple[str, ...] | None = None
        self.ignore_label, self.class_list = IGNORE_LABEL, ""
        self.findings: list[Finding] = []
        self.counts = np.zeros(256, np.int64)
        self.images_with = np.zeros(256, np.int64)
        self.samples = self.masks = self.images_found = self.area = 0
        self.palettes: dict[bytes, Path] = {}
        self.index_of: dict[bytes, tuple[int, Path]] = {}
        self.contents: dict[bytes, Path] = {}
        self.channels: list[
            np.ndarray
        ] = []  # of each image: lowest, highest, sum, sum of squares, by channel
        self.values = 0

    def find(self, kind: str, file: str | Path, message: str, fatal: bool = True) -> None:
        self.findings.append(Finding(kind, str(file), message, fatal))

    def examine(self, sample: Sample, colours: tuple = (), to_labels: ToLabels | None = None) -> None:
        """An image and its mask, or masks, as files; `to_labels` turns stored ids into class ids."""
        before = self._problems()
        image = self._image(sample.image)
        if not sample.masks:
            self.find("no mask", sample.image, f"{sample.image}: this image has no mask")
        masks = [self._mask(sample, path, image, colours, to_labels) for path in sample.masks]
        if masks and all(mask is not None for mask in masks) and len({mask.shape for mask in masks}) == 1:
            labels = np.stack(masks, axis=-1) if isinstance(sample.mask, tuple) else masks[0]
            self.count(labels, str(sample.masks[0] if len(masks) == 1 else sample.image))
        self.samples += self._problems() == before

    def examine_array(self, dataset: Dataset, index: int) -> None:
        """A sample that is not a file (arrays, tfds)."""
        before = self._problems()
        try:
            image, mask, name = dataset.read(index)
        except DataError as error:
            self.find("unreadable", dataset.name_of(index), str(error))
        else:
            self._add_values(image)
            self.count(dataset.to_labels(mask), name)
        self.samples += self._problems() == before

    def count(self, labels: np.ndarray, file: str) -> None:
        """Counts the pixels of each class in a label map, or in the masks of classes that overlap."""
        self.masks += 1
        self.area += labels.shape[0] * labels.shape[1]
        if not self.kind.multilabel:
            counts = np.bincount(labels.ravel(), minlength=256)
            self._look_for_unknown(counts, self.classes and len(self.classes), file)
        else:
            counts = np.zeros(256, np.int64)
            counts[: labels.shape[-1]] = (labels == 1).sum(axis=(0, 1))
            ignored = labels == self.ignore_label
            counts[self.ignore_label] = labels.size if ignored.all() else ignored.all(axis=-1).sum()
            for name, mask in zip(self.classes or (), np.moveaxis(labels, -1, 0), strict=False):
                self._look_for_unknown(np.bincount(mask.ravel(), minlength=256), 2, f"{file}, mask of {name}")
        if counts[self.ignore_label] == labels.size:
            message = f"{file}: every pixel is {self.ignore_label}, ignored: the mask teaches nothing"
            self.find("all ignored", file, message, fatal=self.own)
            counts[self.ignore_label] = labels.shape[0] * labels.shape[1]
        self.counts += counts
        self.images_with += counts > 0

    def conclude(self, name: str, found: int) -> Findings:
        highest = int(np.flatnonzero(self.counts[:IGNORE_LABEL]).max(initial=0))
        classes = self.classes or tuple(f"class {index}" for index in range(highest + 1))
        if len(self.palettes) > 1:
            files = " and ".join(str(path) for path in list(self.palettes.values())[:2])
            message = f"{files} have different palettes; the indices count, not the colours"
            self.find("palette", name, message, fatal=False)
        if self.masks:
            told = (
                name,
                self.counts,
                self.masks,
                self.classes,
                self.own,
                self.class_list,
                self.kind.multilabel,
            )
            self.findings += about_all_masks(*told)
        channels = self._channels()
        self.findings += about_channels(name, channels, self.kind.value_range)
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
            channels,
            self.kind.value_range,
            self.area if self.kind.multilabel else 0,
        )

    def _image(self, path: Path) -> np.ndarray | None:
        if self.rgb:
            image = self._read(read_image, path, "no image")
        else:
            settings = {"channels": self.kind.channels, "value_range": self.kind.value_range}
            image = self._read(read_bands, path, "no image", **settings)
        if image is None:
            return None
        self._add_values(image)
        if image.min() == image.max():
            self.find("blank image", path, f"{path}: all pixels have the same value", fatal=False)
            return image
        content = hashlib.sha1(image.tobytes(), usedforsecurity=False).digest() + bytes(image.shape[0] % 256)
        other = self.contents.setdefault(content, path)
        if other != path:
            self.find("same image", path, f"{path}: the same image as {other}", fatal=False)
        return image

    def _mask(
        self, sample: Sample, path: Path, image: np.ndarray | None, colours: tuple, to_labels: ToLabels | None
    ) -> np.ndarray | None:
        if not os.path.lexists(path):
            self.find("no mask", sample.image, f"{sample.image}: no mask; expected {path}")
            return None
        count = None if self.classes is None else len(self.classes)
        if not self.kind.multilabel:
            mask = self._read(read_mask, path, "no mask", colours=colours, num_classes=count)
        elif isinstance(sample.mask, tuple):
            mask = self._read(read_mask, path, "no mask")
        else:
            mask = self._read(read_bands, path, "no mask", channels=count)
        if mask is None:
            return None
        if image is not None and image.shape[:2] != mask.shape[:2]:
            self.find(
                "size", path, size_mismatch(str(sample.image), image.shape[:2], str(path), mask.shape[:2])
            )
        if not self.kind.multilabel:
            self._compare_palettes(path, mask, colours)
        return mask if to_labels is None else to_labels(mask)

    def _look_for_unknown(self, counts: np.ndarray, count: int | None, file: str) -> None:
        """A finding where ids are there that are neither one of `count` classes nor ignored."""
        unknown = [int(i) for i in np.flatnonzero(counts) if i != self.ignore_label and i >= (count or 256)]
        if unknown:
            ids = ", ".join(f"{i} ({counts[i]} pixels)" for i in unknown)
            expected = f"the classes are 0 to {count - 1}"
            if self.kind.multilabel:
                expected = "the mask of a class that overlaps holds 0 and 1"
            self.find("unknown class", file, f"{file}: class id {ids}, but {expected}")

    def _add_values(self, image: np.ndarray) -> None:
        if self.rgb:
            return
        pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)
        parts = pixels.min(0), pixels.max(0), pixels.sum(0), (pixels**2).sum(0)
        self.channels.append(np.stack(parts))
        self.values += len(pixels)

    def _channels(self) -> tuple[Channel, ...]:
        """The values of each channel in all images; none of RGB images."""
        if not self.channels:
            return ()
        lowest, highest, sums, squares = np.moveaxis(np.stack(self.channels), 1, 0)
        mean = sums.sum(0) / self.values
        deviation = np.sqrt(np.maximum(squares.sum(0) / self.values - mean**2, 0))
        columns = lowest.min(0), highest.max(0), mean, deviation
        return tuple(Channel(*map(float, row)) for row in zip(*columns, strict=True))

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
                pixels = reader(path, max_pixels=self.max_pixels, **settings)
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
