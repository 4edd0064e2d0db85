"""What a data set is: its classes, and where each image and mask lie. Nothing here downloads anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from kseg.checks import colour, value_range, whole
from kseg.data.masks import check_channels, check_ids, read_masks, size_mismatch
from kseg.data.pairs import Sample
from kseg.data.sources.subsets import Joined, SplitName, Subset
from kseg.errors import DataError, SettingsError
from kseg.io.bands import BYTES, read_bands
from kseg.io.colour_map import default_palette
from kseg.io.image_file import MAX_PIXELS
from kseg.io.images import read_image
from kseg.io.masks import read_mask


class ArraySource(Protocol):
    """Samples that do not lie in one file each (arrays, tfds, drawn annotations): read by number."""

    def __len__(self) -> int: ...

    def name_of(self, index: int) -> str: ...

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sample `index` as image uint8 (H, W, 3) and the mask's stored ids uint8 (H, W)."""


@dataclass(frozen=True)
class Dataset:
    """One split of a labelled data set: `dataset[i]` is an image and its label map.

    `len(dataset)`, `dataset[2:5]` and `for image, mask in dataset` work as for a list; `+` joins two data sets of the
    same classes.

    Args:
        name: short name for reports.
        split: `"train"`, `"val"`, ...
        classes: class names; a mask's class id is the place in this tuple.
        palette: a colour a class, (r, g, b) of 0-255 or "#ff8000"; None for VOC's, without black where they overlap.
        samples: `Sample`s of files, or an `ArraySource`.
        ignore_label: the id of pixels that neither loss nor metric counts.
        stored_ids: `(stored, id)` pairs for masks whose stored ids are not the class ids (CamVid's void,
            `(11, 255)`). Ids that are not named stand for themselves; after the mapping every id must be a class or
            `ignore_label`.
        mask_colours: pairs of an RGB colour and its class id (or `ignore_label`), for RGB masks.
        max_pixels: larger images and masks are refused before they are decoded.
        channels: of the images; 3 is RGB. Others, and those of another range, are read as `read_bands` reads them.
        value_range: (lowest, highest) value of the images, which are never scaled; (0, 255) gives uint8.
        multilabel: a pixel may belong to several classes, or to none: masks are `(height, width, classes)` of 0 and 1.

    Raises:
        DataError: no class or more than 255, a name twice, or a palette of another length.

    Example:

    >>> import numpy as np
    >>> import kseg
    >>> x = np.zeros((4, 8, 9, 3), "uint8")
    >>> y = np.array([0, 1, 1, 2], "uint8").reshape(4, 1, 1) * np.ones((4, 8, 9), "uint8")
    >>> dataset = kseg.data.from_arrays(x, y, classes=["road", "car", "bus"])
    >>> train, val = dataset.split(0.25, seed=1)
    >>> len(train), len(val), dataset[3][1].max()
    (3, 1, np.uint8(2))
    >>> dataset.remap({"car": "vehicle", "bus": "vehicle"}).classes
    ('road', 'vehicle')
    """

    name: str
    split: str | SplitName
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] | None
    samples: Sequence[Sample] | ArraySource
    ignore_label: int = 255
    stored_ids: tuple[tuple[int, int], ...] = ()
    mask_colours: tuple[tuple[tuple[int, int, int], int], ...] = ()
    max_pixels: int = MAX_PIXELS
    channels: int = 3
    value_range: tuple[float, float] = BYTES
    multilabel: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "split", SplitName(self.split, self))
        whole(self.channels, "channels")
        object.__setattr__(self, "value_range", value_range(self.value_range))
        if not self.classes or len(self.classes) > 255:
            raise DataError(f"data set {self.name}: 1 to 255 classes are expected, got {len(self.classes)}")
        for number, label in enumerate(self.classes):
            if not isinstance(label, str):
                raise DataError(f"data set {self.name}: class names are texts, got {label!r}")
            if label in self.classes[:number]:
                raise DataError(
                    f"data set {self.name}: the class {label!r} is there twice, as {self.classes.index(label)} and "
                    f"{number}: give every class a name of its own (remap() merges classes)"
                )
        if self.palette is None:
            colours = default_palette(len(self.classes) + 1)  # black is no colour of a class that overlaps
            object.__setattr__(self, "palette", colours[1:] if self.multilabel else colours[:-1])
        object.__setattr__(self, "palette", tuple(colour(one, "a colour of `palette`") for one in self.palette))
        if len(self.palette) != len(self.classes):
            raise DataError(
                f"data set {self.name}: {len(self.classes)} classes but {len(self.palette)} palette colours"
            )

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int | slice | Sequence[int]) -> tuple[np.ndarray, np.ndarray] | Dataset:
        """The image and label map of a number, from either end; the data set of a slice, of numbers, or of bools."""
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        if isinstance(index, (list, tuple, range)) or np.ndim(index) > 0:
            return self.take(index)
        number = whole(index, "index", None)
        if not -len(self) <= number < len(self):
            raise IndexError(f"{self.name}: there is no sample {number}; it has {len(self)}")
        return self.load(number % len(self))

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return (self.load(index) for index in range(len(self)))

    def take(self, indices: Sequence[int] | Sequence[bool]) -> Dataset:
        """Select samples by number.

        Args:
            indices: numbers of the samples, in the order wanted; or a bool for every sample.

        Returns:
            A `Dataset`.

        Raises:
            SettingsError: neither. IndexError: a number beyond the samples.
        """
        chosen = np.asarray(indices)
        if chosen.dtype == bool and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise SettingsError(
                f"{self.name}: samples are chosen by their numbers, or by {len(self)} bools, one a sample; got "
                f"{chosen.dtype} of shape {chosen.shape}"
            )
        if len(beyond := chosen[(chosen < -len(self)) | (chosen >= len(self))]):
            raise IndexError(f"{self.name}: there is no sample {beyond[0]}; it has {len(self)}")
        numbers = [int(number) % len(self) for number in chosen]
        files, all_ = isinstance(self.samples, Sequence), self.samples
        return replace(self, samples=tuple(all_[one] for one in numbers) if files else Subset(all_, numbers))

    def __add__(self, other: Dataset) -> Dataset:
        """Both data sets' samples, first this one's; SettingsError unless they have the same classes."""
        if not isinstance(other, Dataset):
            return NotImplemented
        kinds = {(one.channels, one.value_range, one.multilabel) for one in (self, other)}
        if len(kinds) > 1:
            raise SettingsError(f"{self.name} and {other.name} differ in the channels or values of their images")
        if other.classes != self.classes or other.ignore_label != self.ignore_label:
            raise SettingsError(
                f"{self.name} has the classes {', '.join(self.classes)}, {other.name} {', '.join(other.classes)}: only "
                "data sets of the same classes, in the same order, can be joined: use remap() first"
            )
        name = self.name if self.name == other.name else f"{self.name}+{other.name}"
        return replace(self, name=name, samples=Joined(self, other), stored_ids=(), mask_colours=())

    def __radd__(self, other: object) -> Dataset:
        return self if other == 0 else NotImplemented  # where sum() begins

    def remap(self, names: Mapping[str, str | None]) -> Dataset:
        """Merge, rename or ignore classes.

        Args:
            names: from a class to its new name; None ignores its pixels. Classes that are not named stay. The new
                classes stand in the order in which they first occur.

        Returns:
            A `Dataset` with the new classes.

        Raises:
            SettingsError: a class that is not there, no class is left, or classes overlap.
        """
        if self.multilabel:
            raise SettingsError(f"{self.name}: remap() is of classes that exclude each other, and these overlap")
        unknown = sorted(set(names) - set(self.classes))
        if unknown:
            raise SettingsError(f"{self.name} has no class {unknown[0]!r}; it has {', '.join(self.classes)}")
        renamed = [names.get(name, name) for name in self.classes]
        kept = tuple(dict.fromkeys(name for name in renamed if name is not None))
        if not kept:
            raise SettingsError(f"{self.name}: no class is left after {dict(names)}")
        lookup = self.to_labels(np.arange(256, dtype=np.uint8))
        new = [self.ignore_label if name is None else kept.index(name) for name in renamed]
        ids = ((stored, new[label] if label < len(new) else int(label)) for stored, label in enumerate(lookup))
        ids = tuple((stored, label) for stored, label in ids if stored != label)
        palette = tuple(self.palette[renamed.index(name)] for name in kept)
        return replace(self, classes=kept, palette=palette, stored_ids=ids)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def is_rgb(self) -> bool:
        return self.channels == 3 and self.value_range == BYTES

    def name_of(self, index: int) -> str:
        """Give the name of a sample, for reports and for naming predicted masks.

        Args:
            index: number of the sample.

        Returns:
            The file name without its ending.
        """
        if isinstance(self.samples, Sequence):
            sample = self.samples[index]
            return sample.name or sample.image.stem
        return self.samples.name_of(index)

    def file_of(self, index: int) -> Path | None:
        """Give the file that a sample's image is read from.

        Args:
            index: number of the sample.

        Returns:
            Its path; None where the image does not lie in a file of its own.
        """
        if isinstance(self.samples, Sequence):
            return self.samples[index].image
        return getattr(self.samples, "file_of", lambda _: None)(index)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read a sample.

        Args:
            index: number of the sample.

        Returns:
            Image, uint8 RGB `(height, width, 3)`, and mask, uint8 `(height, width)` of class ids; or as `channels`,
            `value_range` and `multilabel` say.

        Raises:
            DataError: a file that cannot be used; the message names it.
        """
        image, stored, where = self.read(index)
        labels = self.to_labels(stored)
        check_ids(labels, self, where)
        return image, labels

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray, str]:
        """Read a sample as stored, without checking ids.

        Args:
            index: number of the sample.

        Returns:
            Image, mask with the ids as stored, and the mask's file for messages.
        """
        if not isinstance(self.samples, Sequence):
            image, mask = self.samples.read(index)
            image_file = mask_file = self.name_of(index)
        else:
            sample = self.samples[index]
            if sample.mask is None:
                raise DataError(f"{sample.image}: this image has no mask")
            kind = self.channels, self.value_range, self.max_pixels
            image = read_image(sample.image, self.max_pixels) if self.is_rgb else read_bands(sample.image, *kind)
            image_file, mask_file = str(sample.image), str(sample.mask)
            if isinstance(sample.mask, tuple):
                mask_file = f"{image_file}, its masks"
                mask = read_masks(sample.mask, self.num_classes, self.max_pixels)
            elif self.multilabel:
                mask = read_bands(sample.mask, self.num_classes, max_pixels=self.max_pixels)
            else:
                mask = read_mask(sample.mask, self.max_pixels, self.mask_colours, num_classes=self.num_classes)
        if image.shape[:2] != mask.shape[:2]:
            raise DataError(size_mismatch(image_file, image.shape[:2], mask_file, mask.shape[:2]))
        check_channels(mask, self, mask_file)
        return image, mask, mask_file

    def to_labels(self, stored: np.ndarray) -> np.ndarray:
        """Convert a mask as stored to class ids, unchecked.

        Args:
            stored: uint8 `(height, width)`, or `(height, width, classes)`.

        Returns:
            uint8 class ids of the same shape.
        """
        if not self.stored_ids:
            return stored
        lookup = np.arange(256, dtype=np.uint8)
        for value, label in self.stored_ids:
            lookup[value] = label
        return np.take(lookup, stored)
