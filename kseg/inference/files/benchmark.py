"""Predictions in the ids of a benchmark's own files, as its server wants them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kseg.data.sources import ade20k, cityscapes
from kseg.errors import SettingsError

# Name -> class names, and the id of each in the benchmark's files.
BENCHMARKS = {
    "cityscapes": (cityscapes.CLASSES, cityscapes.IDS),
    "ade20k": (ade20k.CLASSES, tuple(range(1, 151))),
}


def benchmark_ids(name: str, num_classes: int, classes: Sequence[str] | None = None) -> np.ndarray:
    """The benchmark's id of each class of a model: uint8 (num_classes,), so that `ids[labels]` are its labels.

    Args:
        name: "cityscapes" (ids 7 to 33 of the 19 classes that are scored) or "ade20k" (1 to 150).
        num_classes: the model's.
        classes: the model's class names, which may stand in another order; None: the benchmark's.

    Raises:
        SettingsError: no such benchmark, or other classes than its own.

    Example:

    >>> benchmark_ids("cityscapes", 19)[:4].tolist()
    [7, 8, 11, 12]
    """
    if name not in BENCHMARKS:
        raise SettingsError(f"There are the ids of {' and '.join(BENCHMARKS)}; got {name!r}")
    names, ids = BENCHMARKS[name]
    unnamed = classes is None or list(classes) == [f"class {index}" for index in range(num_classes)]
    if num_classes != len(names) or not (unnamed or sorted(classes) == sorted(names)):
        shown = "" if unnamed else f" ({', '.join(list(classes)[:4])}, ...)"
        raise SettingsError(
            f"{name} has {len(names)} classes ({', '.join(names[:4])}, ...), and the model {num_classes}{shown}: only "
            "a model of its classes can be given in its ids"
        )
    order = range(num_classes) if unnamed else [names.index(label) for label in classes]
    return np.array([ids[index] for index in order], np.uint8)
