"""Files that cannot be used while a training runs: skipped and counted, or named where one made the loss diverge."""

import threading
from typing import Any

import numpy as np

from kseg.data import Dataset
from kseg.data.batches import samples_of_step
from kseg.errors import DataError

_MOST = 0.01


class SkippingDataset:
    """A `Dataset` in which the next good sample takes the place of one that cannot be used.

    So every batch keeps its size, and the order stays a function of seed, epoch and place. Everything but
    `load` is the data set's own.

    Args:
        dataset: what may have bad samples.
        blank: ignore all labels of a sample that takes another's place, so that no score counts it twice.

    Attributes:
        bad: why each bad sample was skipped, by its number.

    Raises:
        DataError: from `load`, when more than 1 % of the samples turned out bad; the message names them.
    """

    def __init__(self, dataset: Dataset, blank: bool = False) -> None:
        self.dataset, self.blank, self.bad = dataset, blank, {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # while being copied, before there is one
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Sample `index`, or the next one after it that can be used."""
        for number in range(index, index + len(self)):
            number %= len(self)
            if number in self.bad:
                continue
            try:
                image, labels = self.dataset.load(number)
            except DataError as error:
                with self._lock:
                    self.bad[number] = str(error)
                    if len(self.bad) > _MOST * len(self):
                        raise DataError(
                            f"{len(self.bad)} of {len(self)} images cannot be used, more than {_MOST:.0%}: "
                            f"{self.listed(3)}"
                        ) from None
                continue
            if self.blank and number != index:
                labels = np.full_like(labels, self.dataset.ignore_label)
            return image, labels
        raise DataError(f"{self.dataset.name}: no sample of {self.dataset.split} can be used.")

    def stand_in(self, number: int) -> int:
        """The number of the sample that `load(number)` gives, as far as bad ones are known by now."""
        while number in self.bad:
            number = (number + 1) % len(self)
        return number

    def listed(self, most: int | None = None) -> str:
        """What was skipped and why, in one line."""
        reasons = [reason for _, reason in sorted(self.bad.items())]
        rest = f"; and {len(reasons) - most} more" if most is not None and len(reasons) > most else ""
        return "; ".join(reasons[:most]) + rest


def files_of_step(dataset: Dataset | SkippingDataset, *, batch_size: int, seed: int, step: int) -> list[str]:
    """The names of the images in a training's batch `step` (from 0, over all epochs); nothing is read."""
    numbers = samples_of_step(len(dataset), batch_size=batch_size, seed=seed, shuffle=True, step=step)
    if isinstance(dataset, SkippingDataset):
        numbers = [dataset.stand_in(number) for number in numbers]
    return [str(dataset.file_of(number) or dataset.name_of(number)) for number in numbers]
