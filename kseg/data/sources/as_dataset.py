"""`as_dataset`: whatever Keras takes as labelled data, as a `Dataset`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kseg.data.dataset import Dataset
from kseg.data.sources.arrays import IGNORE_LABEL, as_image, as_mask, as_masks, from_arrays
from kseg.data.sources.folder import from_pairs
from kseg.errors import DataError
from kseg.io.bands import BYTES
from kseg.io.memory import free_memory

EXPECTED = (
    "expected a kseg.data.Dataset, (x, y), a tf.data.Dataset or a keras.utils.PyDataset of (images, masks)"
)
SHARE = 0.5  # of the free memory that the samples of batches may take


def as_dataset(
    data: Any,
    classes: Sequence[str] | int | None = None,
    *,
    ignore_label: int | None = None,
    palette: Sequence[tuple[int, int, int]] | None = None,
    name: str = "data",
    split: str = "",
    channels: int = 3,
    value_range: tuple[float, float] = BYTES,
    multilabel: bool = False,
) -> Dataset:
    """Make a `Dataset` from whatever Keras takes as labelled data.

    Args:
        data: a `Dataset`, which comes back as it is; `(x, y)` or `(x, y, sample_weight)`, read when needed as by
            `from_arrays`, or the paths of images and of masks; or what gives samples or batches of them: a
            `tf.data.Dataset`, a `keras.utils.PyDataset`, a `Loader`, a PyTorch `DataLoader`, a list. These are read
            once, and kept in memory as uint8. Sample weights are 0 (ignored) or 1.
        classes: their names, or how many there are; None: up to the highest id in the masks, where they have every id
            from 1 up to that.
        ignore_label: the id of pixels that do not count; None: 255, where it is no class (see `from_arrays`).
        palette: one RGB colour a class.
        name, split: for reports.
        channels, value_range, multilabel: of data that does not say it itself; see `Dataset`.

    Returns:
        A `Dataset`.

    Raises:
        DataError: something else, data without an end, a number of classes that the ids leave open, more than half of
            the free memory holds, or samples that `from_arrays` refuses; it names the sample.

    Example:

    >>> import numpy as np
    >>> from kseg.data import as_dataset
    >>> len(as_dataset((np.zeros((3, 8, 8, 3), "uint8"), np.zeros((3, 8, 8), "uint8"))))
    3
    """
    if isinstance(data, Dataset) or (hasattr(data, "num_classes") and hasattr(data, "load")):
        return data
    if isinstance(own := getattr(data, "dataset", None), Dataset):  # a Loader's
        classes, ignore_label, palette = own.classes, own.ignore_label, own.palette
    kind = {"channels": channels, "value_range": value_range, "multilabel": multilabel}
    if isinstance(own, Dataset):
        kind = {"channels": own.channels, "value_range": own.value_range, "multilabel": own.multilabel}
    settings = {"name": name, "split": split, "ignore_label": ignore_label, **kind}
    known = IGNORE_LABEL if ignore_label is None else ignore_label
    if _is_pair(data):
        listed = isinstance(data[0], (list, tuple, np.ndarray)) and len(data[0]) > 0
        if len(data) == 2 and listed and isinstance(data[0][0], (str, Path)):
            return from_pairs(list(data[0]), list(data[1]), classes, **settings)
        data = [_rows(part) if _is_ragged(part) else part for part in data]
        if len(data) == 3:
            settings["ignore_label"] = known  # that of weight 0, and no class
            data = data[0], _Weighted(*data[1:], known, name, multilabel=kind["multilabel"])
        return from_arrays(*data, classes, palette=palette, **settings)
    images, masks = [], []
    left = SHARE * free_memory()
    for x, y, *weights in _samples(data, name):
        where = f"{name}, sample {len(images)}"
        mask = as_masks(y, where) if kind["multilabel"] else as_mask(y, where)
        images.append(as_image(x, where, kind["channels"], kind["value_range"]))
        masks.append(_weighted(mask, weights[0], known, where) if weights else mask)
        settings["ignore_label"] = known if weights else settings["ignore_label"]
        left -= images[-1].nbytes + masks[-1].nbytes
        if left < 0:
            raise DataError(
                f"{name}: {len(images)} samples fill half of the free memory, and there are more: give a "
                "kseg.data.Dataset, which reads what it needs (from_pairs, from_generator), or .take(n) of these"
            )
    return from_arrays(images, masks, classes, palette=palette, **settings)


def _is_pair(data: Any) -> bool:
    """Whether `data` is (x, y) or (x, y, weights), each of many samples; not two or three samples of (image, mask)."""
    if isinstance(data, list):  # Keras's lists are batches; [x, y] of arrays is meant as (x, y)
        return len(data) == 2 and all(hasattr(part, "shape") and len(part.shape) >= 3 for part in data)
    if not isinstance(data, tuple) or len(data) not in (2, 3) or isinstance(data[0], tuple):
        return False
    return data[1] is not None and (hasattr(data[0], "__len__") or _is_ragged(data[0]))


def _is_ragged(part: Any) -> bool:
    return hasattr(part, "nested_row_splits")


def _rows(part: Any) -> list[Any]:
    """The samples of a batch."""
    if not _is_ragged(part):
        return list(part) if isinstance(part, (list, tuple)) else list(np.asarray(part))
    return [np.asarray(row.to_tensor() if _is_ragged(row) else row) for row in part]


def _samples(data: Any, name: str) -> Iterator[Sequence[Any]]:
    """The samples (image, mask) or (image, mask, weight) of what gives samples, or batches of them, once."""
    if isinstance(data, (str, Path)):
        raise DataError(f'{name}: got the path {data}: load it, as by kseg.data.load("folder", "{data}")')
    elements, count = data, None
    if hasattr(data, "element_spec") and hasattr(data, "cardinality"):  # tf.data
        if int(data.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
            raise _endless(data, name)
    elif isinstance(data, dict) or hasattr(data, "shape") or (isinstance(data, tuple) and data[1:2] == (None,)):
        raise DataError(f"{name}: got {_described(data)} without masks; {EXPECTED}")
    else:
        for ask in (len, lambda each: each.num_batches):  # a PyDataset has one of the two
            with contextlib.suppress(TypeError, NotImplementedError, AttributeError):
                count = ask(data)
                break
        by_number = hasattr(data, "__getitem__")
        if count is None and (by_number or hasattr(data, "__iter__")):
            raise _endless(data, name)
        if count is None:
            raise DataError(f"{name}: {type(data).__name__} is not a data set; {EXPECTED}")
        elements = (data[index] for index in range(count)) if by_number else data
    for element in elements:
        if isinstance(element, dict):
            raise DataError(
                f"{name}: got a dict with the keys {', '.join(map(str, element))}; expected (images, masks): choose "
                "them, as by .map(lambda each: (each[...], each[...]))"
            )
        if not isinstance(element, (tuple, list)) or len(element) not in (2, 3) or element[1] is None:
            raise DataError(f"{name}: got {_described(element)}; expected (images, masks)")
        if isinstance(element[0], dict) or isinstance(element[1], dict):
            raise DataError(f"{name}: got dicts as images or masks; expected one array of each")
        if not _is_batch(*element[:2]):
            yield element
            continue
        columns = [_rows(part) for part in element if part is not None]
        if len({len(column) for column in columns}) > 1:
            raise DataError(f"{name}: a batch of {len(columns[0])} images but {len(columns[1])} masks")
        yield from zip(*columns, strict=True)


def _endless(data: Any, name: str) -> DataError:
    return DataError(
        f"{name}: {type(data).__name__} has no known length, so it may never end: take a number of its batches, as by "
        ".take(n), or make a list of them"
    )


def _is_batch(x: Any, y: Any) -> bool:
    """Whether an element holds several samples."""
    if isinstance(x, (list, tuple)) or _is_ragged(x) or _is_ragged(y):
        return len(getattr(x, "shape", ())) != 3
    ranks = np.ndim(x), np.ndim(y)
    if ranks == (3, 3):  # an image and (height, width, 1), or grey images and masks
        return np.shape(x) == np.shape(y) and np.shape(x)[-1] not in (1, 3)
    return ranks[0] > 3 or ranks == (3, 4)


def _described(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"{type(value).__name__} of {len(value)}"
    shape = f" of shape {tuple(value.shape)}" if hasattr(value, "shape") else ""
    return f"{type(value).__name__}{shape}"


class _Weighted:
    """Masks by number, whose pixels of weight 0 are ignored."""

    def __init__(self, masks: Any, weights: Any, ignore_label: int, name: str, *, multilabel: bool) -> None:
        if len(weights) != len(masks):
            raise DataError(f"{name}: {len(masks)} masks but {len(weights)} sample weights")
        self.masks, self.weights, self.ignore_label, self.name = masks, weights, ignore_label, name
        self.as_mask = as_masks if multilabel else as_mask

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> np.ndarray:
        where = f"{self.name}, sample {index}"
        return _weighted(self.as_mask(self.masks[index], where), self.weights[index], self.ignore_label, where)


def _weighted(mask: np.ndarray, weight: Any, ignore_label: int, where: str) -> np.ndarray:
    """A mask whose pixels of weight 0 are ignored; DataError for other weights than 0 and 1."""
    weight = np.asarray(weight)
    if weight.ndim == 3 and weight.shape[-1] == 1:
        weight = weight[..., 0]
    if mask.ndim == 3 and weight.shape == mask.shape[:2]:  # classes that overlap
        weight = weight[..., None]
    elif weight.ndim and weight.shape != mask.shape:
        raise DataError(f"{where}: sample weights of shape {weight.shape} for a mask of shape {mask.shape}")
    if not np.isin(weight, (0, 1)).all():
        raise DataError(
            f"{where}: sample weights are 0 (ignored) or 1 here; got {weight.min():g} to {weight.max():g}: weights of "
            "classes belong to the loss, as kseg.losses.CrossEntropy(class_weights=...)"
        )
    return np.where(weight == 0, np.uint8(ignore_label), mask)
