"""What a data set is: its classes, and where each picture and mask lie. Nothing here downloads anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from kseg.data.reading.files import MAX_PIXELS, read_image, read_mask
from kseg.errors import DataError


@dataclass(frozen=True)
class Sample:
    """One image and its mask, as files; `name` for reports, else the image's own without its ending."""

    image: Path
    mask: Path | None = None
    name: str | None = None


class ArraySource(Protocol):
    """Samples that do not lie in one file each (tfds): read by number."""

    def __len__(self) -> int: ...

    def name_of(self, index: int) -> str: ...

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sample ``index`` as image uint8 (H, W, 3) and the mask's stored ids uint8 (H, W)."""


@dataclass(frozen=True)
class Dataset:
    """One split of a labelled data set.

    Args:
        name: short name for reports.
        split: ``"train"``, ``"val"``, ...
        classes: class names; a mask's class id is the place in this tuple.
        palette: one RGB colour (0-255) a class, for drawing.
        samples: ``Sample`` tuples of files, or an ``ArraySource``.
        ignore_label: the id of pixels that neither loss nor metric counts.
        stored_ids: ``(stored, id)`` pairs for masks whose stored ids are not the class ids (CamVid's void,
            ``(11, 255)``). Ids that are not named stand for themselves; after the mapping every id must be a
            class or ``ignore_label``.
        mask_colours: pairs of an RGB colour and its class id (or ``ignore_label``), for RGB masks.
        max_pixels: larger pictures and masks are refused before they are decoded.
    """

    name: str
    split: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    samples: Sequence[Sample] | ArraySource
    ignore_label: int = 255
    stored_ids: tuple[tuple[int, int], ...] = ()
    mask_colours: tuple[tuple[tuple[int, int, int], int], ...] = ()
    max_pixels: int = MAX_PIXELS

    def __post_init__(self):
        if not self.classes or len(self.classes) > 255:
            raise DataError(f"data set {self.name}: 1 to 255 classes are expected, got {len(self.classes)}")
        if len(self.palette) != len(self.classes):
            raise DataError(
                f"data set {self.name}: {len(self.classes)} classes but {len(self.palette)} palette colours"
            )

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def name_of(self, index: int) -> str:
        """File name without its ending, for reports and for naming predicted masks."""
        if isinstance(self.samples, Sequence):
            sample = self.samples[index]
            return sample.name or sample.image.stem
        return self.samples.name_of(index)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 (H, W, 3) RGB and mask uint8 (H, W) of class ids; DataError names the file at fault."""
        image, stored, where = self.read(index)
        labels = self.to_labels(stored)
        present = np.flatnonzero(np.bincount(labels.ravel(), minlength=256))
        unknown = [str(i) for i in present if i >= self.num_classes and i != self.ignore_label]
        if unknown:
            raise DataError(
                f"{where}: class id {', '.join(unknown)} in the mask, but {self.name} has the classes 0 to "
                f"{self.num_classes - 1}, and {self.ignore_label} for ignored pixels: correct the mask or "
                "the class list"
            )
        return image, labels

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray, str]:
        """Image, mask with the ids as stored, and the mask's file for messages; ids unchecked."""
        if not isinstance(self.samples, Sequence):
            image, mask = self.samples.read(index)
            image_file = mask_file = self.name_of(index)
        else:
            sample = self.samples[index]
            if sample.mask is None:
                raise DataError(f"{sample.image}: this picture has no mask")
            image = read_image(sample.image, self.max_pixels)
            mask = read_mask(sample.mask, self.max_pixels, self.mask_colours, num_classes=self.num_classes)
            image_file, mask_file = str(sample.image), str(sample.mask)
        if image.shape[:2] != mask.shape:
            raise DataError(size_mismatch(image_file, image.shape[:2], mask_file, mask.shape))
        return image, mask, mask_file

    def to_labels(self, stored: np.ndarray) -> np.ndarray:
        """Class ids of a mask as stored (uint8), unchecked."""
        if not self.stored_ids:
            return stored
        lookup = np.arange(256, dtype=np.uint8)
        for value, label in self.stored_ids:
            lookup[value] = label
        return lookup[stored]


def size_mismatch(image_file: str, image_size, mask_file: str, mask_size) -> str:
    """The message for a mask of another size than its image; sizes are (height, width)."""
    hint = ""
    if tuple(image_size) == tuple(mask_size)[::-1]:
        hint = " (one lies on its side: pictures are turned as their EXIF orientation says, masks never)"
    return (
        f"{mask_file}: the mask has {mask_size[0]}x{mask_size[1]} pixels (height x width), but its image "
        f"{image_file} has {image_size[0]}x{image_size[1]}: both must have the same size{hint}"
    )
