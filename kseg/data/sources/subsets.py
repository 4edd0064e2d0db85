"""Parts of data sets, and data sets put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kseg.checks import fraction, whole
from kseg.errors import DataError

if TYPE_CHECKING:
    from kseg.data.dataset import ArraySource, Dataset


class Subset:
    """Some samples of an `ArraySource`, by their numbers."""

    def __init__(self, source: ArraySource, indices: Sequence[int]) -> None:
        self.source, self.indices = source, list(indices)
        self.makes_samples = getattr(source, "makes_samples", False)

    def __len__(self) -> int:
        return len(self.indices)

    def name_of(self, index: int) -> str:
        return self.source.name_of(self.indices[index])

    def file_of(self, index: int) -> Path | None:
        known = getattr(self.source, "file_of", None)
        return None if known is None else known(self.indices[index])

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.source.read(self.indices[index])


class Joined:
    """The samples of several data sets, one after the other, with their class ids."""

    def __init__(self, *parts: Dataset) -> None:
        self.parts = [inner for part in parts for inner in getattr(part.samples, "parts", [part])]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def max_pixels(self) -> int:
        """Larger images and masks are refused; of the part that allows most."""
        return max(part.max_pixels for part in self.parts)

    @max_pixels.setter
    def max_pixels(self, value: int) -> None:
        self.parts = [replace(part, max_pixels=value) for part in self.parts]

    def _find(self, index: int) -> tuple[Dataset, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)

    def name_of(self, index: int) -> str:
        part, number = self._find(index)
        return part.name_of(number)

    def file_of(self, index: int) -> Path | None:
        part, number = self._find(index)
        return part.file_of(number)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        part, number = self._find(index)
        return part.load(number)


class SplitName(str):
    """The name of a split, which is text; called, it splits the data set: `train, val = dataset.split(0.2)`."""

    def __new__(cls, name: str, dataset: Dataset | None = None) -> SplitName:
        made = super().__new__(cls, name)
        made.dataset = dataset
        return made

    def __call__(self, share: float, *, seed: int = 0, stratify: bool = False) -> tuple[Dataset, Dataset]:
        """Two data sets, for training and for validation, at random; the same for the same seed.

        Args:
            share: how much goes to the second, above 0 and below 1; each gets one sample at least.
            seed: of the random choice.
            stratify: let every class be in both in this share, as far as images allow; reads all masks.

        Raises:
            SettingsError: a share that is not between 0 and 1.
            DataError: fewer than two samples.
        """
        dataset, share = self.dataset, fraction(share, "share", zero=False, one=False)
        if len(dataset) < 2:
            raise DataError(f"{dataset.name}: {len(dataset)} sample(s) cannot be split in two")
        count = min(max(round(share * len(dataset)), 1), len(dataset) - 1)
        order = np.random.default_rng(whole(seed, "seed", 0)).permutation(len(dataset))
        chosen = set(_stratified(dataset, order, share, count) if stratify else order[:count].tolist())
        rest = [index for index in range(len(dataset)) if index not in chosen]
        return (
            replace(dataset.take(rest), split="train"),
            replace(dataset.take(sorted(chosen)), split="val"),
        )


def _stratified(dataset: Dataset, order: np.ndarray, share: float, count: int) -> list[int]:
    """`count` samples in which every class occurs in about this share of the images that show it.

    The images of the rarest class are dealt first (Sechidis et al. 2011, iterative stratification).
    """
    present = np.zeros((len(dataset), dataset.num_classes), bool)
    for index in range(len(dataset)):
        labels = dataset.load(index)[1]
        if dataset.multilabel:
            present[index] = (labels == 1).any(axis=(0, 1))
            continue
        ids = np.unique(labels)
        present[index, ids[ids < dataset.num_classes]] = True
    wanted = present.sum(axis=0) * share
    chosen, left = [], [int(index) for index in order]
    while left and len(chosen) < count:
        open_classes = wanted > 0.5
        remaining = np.where(open_classes, present[left].sum(axis=0), 0)
        candidates = left
        if remaining.any():
            rarest = np.argmin(np.where(remaining > 0, remaining, len(left) + 1))
            candidates = [index for index in left if present[index, rarest]]
        # Of these the one that adds least to classes that have enough.
        excess = [int((present[index] & ~open_classes).sum()) for index in candidates]
        index = candidates[int(np.argmin(excess))]
        chosen.append(index)
        left.remove(index)
        wanted = wanted - present[index]
    return chosen
