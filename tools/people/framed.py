"""The photos of `people` framed and lit like a webcam's images: what the preset `people_portrait` was trained on.

    from framed import framed_people
    train, val = framed_people("../shared/data", "train"), framed_people("../shared/data", "val")

``train`` holds every image 64 times, framed, pasted before other backgrounds, lit and degraded differently (see
framing.py), and always the same way: a sample is a function of its number. ``val`` holds each image whole and, where
a person is large enough, its head and shoulders; ``val_portraits`` has the latter alone, ``val_empty`` parts of its
images without people.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import framing
import numpy as np

from kseg.data import Dataset, Sample
from kseg.data.reading.files import MAX_PIXELS, read_image, read_mask
from kseg.data.reading.layout import check_split
from kseg.data.sources.people import CLASSES, PALETTE, parts
from kseg.errors import DataError

VOC_PERSON = 15
VARIANTS = 64  # framings of each image of train
SIDE = 256  # of a framed image
KEPT_BYTES = 2 * 1024**3  # of decoded images
# how often a sample of train is: a portrait, one before another background, the whole image, one without people
KINDS = {"portrait": 0.4, "pasted": 0.24, "whole": 0.1, "empty": 0.14, "animal": 0.12}
ANIMALS = (3, 8, 10, 12, 13, 17)  # VOC's bird, cat, cow, dog, horse and sheep: they have faces too
OTHER_THINGS = (*range(1, VOC_PERSON), *range(VOC_PERSON + 1, 21))  # VOC's animals, vehicles and furniture


def framed_people(root: str | Path, split: str = "train") -> Dataset:
    """A split of the framed images; `root` as for `kseg.data.load("people", root)`."""
    check_split("framed people", split, tuple(_SOURCES))
    found = parts(Path(root), split.split("_")[0], complete=True)
    # a part with stored ids is VOC's
    photos = _Photos(tuple((sample, bool(part.stored_ids)) for part in found for sample in part.samples))
    return Dataset("people", split, CLASSES, PALETTE, _SOURCES[split](photos))


class _Photos:
    """The images as they are, with the masks' ids made 0, 1 and 255; decoded once where there is room."""

    def __init__(self, samples: tuple[tuple[Sample, bool], ...]):
        self.samples, self.max_pixels = samples, MAX_PIXELS
        self._kept: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._room = KEPT_BYTES

    def __len__(self) -> int:
        return len(self.samples)

    def name_of(self, index: int) -> str:
        return self.samples[index][0].image.stem

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, stored = self._stored(index)
        if self.samples[index][1]:
            stored = np.where(stored == 255, 255, stored == VOC_PERSON).astype(np.uint8)
        return image, stored

    def things(self, index: int, ids: tuple[int, ...] = OTHER_THINGS) -> np.ndarray | None:
        """1 where an image of VOC has one of these classes, else 0; None for other images."""
        if not self.samples[index][1]:
            return None
        return np.isin(self._stored(index)[1], ids).astype(np.uint8)

    @cached_property
    def with_animals(self) -> list[int]:
        """The images of VOC that show an animal of some size."""
        return [
            index
            for index, (_, is_voc) in enumerate(self.samples)
            if is_voc and self.things(index, ANIMALS).mean() > 0.02
        ]

    def _stored(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index not in self._kept:
            pair = self._decoded(index)
            needed = sum(part.nbytes for part in pair)
            if needed > self._room:
                return pair
            self._room -= needed
            self._kept[index] = pair
        return self._kept[index]

    def _decoded(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        sample, _ = self.samples[index]
        image = read_image(sample.image, max_pixels=self.max_pixels)
        mask = read_mask(sample.mask, max_pixels=self.max_pixels)
        if image.shape[:2] != mask.shape:
            raise DataError(
                f"{sample.mask}: the mask has {mask.shape[0]}x{mask.shape[1]} pixels, its image "
                f"{sample.image} {image.shape[0]}x{image.shape[1]}"
            )
        return image, mask


class _Framed:
    """``VARIANTS`` framings of every image, each a function of its number."""

    makes_samples = True  # in the memory they would take room that they are not read from again

    def __init__(self, photos: _Photos):
        self.photos = photos

    @property
    def max_pixels(self) -> int:
        return self.photos.max_pixels

    @max_pixels.setter
    def max_pixels(self, value: int) -> None:
        self.photos.max_pixels = value

    def __len__(self) -> int:
        return VARIANTS * len(self.photos)

    def name_of(self, index: int) -> str:
        variant, photo = divmod(index, len(self.photos))
        return f"{self.photos.name_of(photo)}_{variant}"

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((0, index))
        image, mask = self.photos.read(index % len(self.photos))
        kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
        image, mask = self._framed(image, mask, kind, rng, index % len(self.photos))
        return framing.degraded(framing.lit(image, rng), rng), mask

    def _framed(
        self, image: np.ndarray, mask: np.ndarray, kind: str, rng: np.random.Generator, photo: int
    ) -> tuple[np.ndarray, np.ndarray]:
        window = None
        if kind == "animal":
            found = self._animal(rng)
            if found is not None:
                return found
            kind = "empty"
        if kind in ("portrait", "pasted"):
            window = framing.portrait_window(mask, rng)
        elif kind == "empty":
            things = self.photos.things(photo) if rng.random() < 0.6 else None
            if things is not None and things.any():
                window = framing.window_about(things, mask, rng)
            window = window or framing.empty_window(mask, rng)
        window = window or framing.random_window(mask.shape, rng, least=0.6)
        image, mask = framing.resized(*window.of(image, mask), (SIDE, SIDE))
        if kind == "pasted" and (background := self._background(rng)) is not None:
            image = framing.pasted(image, mask, background, rng)
        return image, mask

    def _animal(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
        """An animal without people, as it was or before another background; None where chance finds none."""
        photos = self.photos.with_animals
        for _ in range(4 if photos else 0):
            photo = photos[int(rng.integers(len(photos)))]
            image, mask = self.photos.read(photo)
            animal = self.photos.things(photo, ANIMALS)
            window = framing.window_about(animal, mask, rng)
            if window is not None:
                image, animal = framing.resized(*window.of(image, animal), (SIDE, SIDE))
                if rng.random() < 0.5 and (background := self._background(rng)) is not None:
                    image = framing.pasted(image, animal, background, rng)
                return image, np.zeros((SIDE, SIDE), np.uint8)
        return None

    def _background(self, rng: np.random.Generator) -> np.ndarray | None:
        """A part without people of another image, or None where chance finds none."""
        for _ in range(3):
            image, mask = self.photos.read(int(rng.integers(len(self.photos))))
            if (window := framing.empty_window(mask, rng)) is not None:
                return framing.resized(*window.of(image, mask), (SIDE, SIDE))[0]
        return None


class _Portraits(_Framed):
    """Every image whole, then the head and shoulders of every image; neither lit nor degraded."""

    def __len__(self) -> int:
        return 2 * len(self.photos)

    def name_of(self, index: int) -> str:
        part, photo = divmod(index, len(self.photos))
        return f"{self.photos.name_of(photo)}_{'portrait' if part else 'whole'}"

    def window_of(self, index: int) -> framing.Window | None:
        """The part of the photo that a portrait shows; None for whole images."""
        part, photo = divmod(index, len(self.photos))
        rng = np.random.default_rng((1, index))
        return framing.portrait_window(self.photos.read(photo)[1], rng) if part else None

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        image, mask = self.photos.read(index % len(self.photos))
        window = self.window_of(index)
        image, mask = (image, mask) if window is None else window.of(image, mask)
        # One size for all, so that a batch can hold them; the app stretches frames to its model's size too.
        return framing.resized(image, mask, (SIDE, SIDE))


class _Heads(_Portraits):
    """The portraits of ``_Portraits`` alone, where the photo has room for one."""

    def __init__(self, photos: _Photos):
        super().__init__(photos)
        count = len(photos)
        self._chosen = [i for i in range(count, 2 * count) if self.window_of(i) is not None]

    def __len__(self) -> int:
        return len(self._chosen)

    def name_of(self, index: int) -> str:
        return super().name_of(self._chosen[index])

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return super().read(self._chosen[index])


class _Empty(_Framed):
    """Parts of the photos without people, about VOC's other things where there are some."""

    def __init__(self, photos: _Photos):
        super().__init__(photos)
        found = ((photo, self._window(photo)) for photo in range(len(photos)))
        self._chosen = [(photo, window) for photo, window in found if window is not None]

    def _window(self, photo: int) -> framing.Window | None:
        rng, mask = np.random.default_rng((2, photo)), self.photos.read(photo)[1]
        things = self.photos.things(photo)
        window = None if things is None else framing.window_about(things, mask, rng)
        return window or framing.empty_window(mask, rng)

    def __len__(self) -> int:
        return len(self._chosen)

    def name_of(self, index: int) -> str:
        return f"{self.photos.name_of(self._chosen[index][0])}_empty"

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        photo, window = self._chosen[index]
        return framing.resized(*window.of(*self.photos.read(photo)), (SIDE, SIDE))


_SOURCES = {"train": _Framed, "val": _Portraits, "val_portraits": _Heads, "val_empty": _Empty}
