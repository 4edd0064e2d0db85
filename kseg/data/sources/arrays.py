"""Data sets of arrays and of functions: NumPy, lists, memory maps, HDF5, anything that gives arrays by number."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from kseg.checks import whole
from kseg.data.class_list import class_names
from kseg.data.dataset import Dataset
from kseg.data.masks import count_classes, readable, white_as_class
from kseg.errors import DataError
from kseg.io.bands import BYTES, as_bands
from kseg.io.images import to_8_bits

IGNORE_LABEL = 255


def from_arrays(
    x: Any,
    y: Any,
    classes: Sequence[str] | int | None = None,
    *,
    name: str = "arrays",
    split: str = "train",
    palette: Sequence[tuple[int, int, int]] | None = None,
    ignore_label: int | None = None,
    channels: int = 3,
    value_range: tuple[float, float] = BYTES,
    multilabel: bool = False,
) -> Dataset:
    """A data set of arrays that are read when they are needed: NumPy, memory maps, HDF5 data sets, lists of any sizes.

    Args:
        x: images, `(samples, height, width, 3)`, or a list of `(height, width, 3)`; grey `(height, width)` or
            `(height, width, 1)` too. uint8, uint16 (scaled to 8 bits), or floats from 0 to 255.
        y: label maps of class ids, `(samples, height, width)` or with a last axis of 1; whole numbers or bool. Of two
            classes 255 may be the second, if no mask holds anything but 0 and 255; a warning then says so.
        classes: their names, or how many there are; None: up to the highest id in `y`, which is read for it, where it
            has every id from 1 up to that.
        name, split: for reports.
        palette: one RGB colour a class, three numbers or a text such as "#ff8000".
        ignore_label: the id of pixels that do not count; None: 255, where it is no class (see `y`). 255 says that it
            is none.
        channels, value_range: of images that are not RGB of 0-255; see `Dataset`.
        multilabel: `y` is `(samples, height, width, classes)` of 0 and 1.

    Returns:
        A `Dataset`.

    Raises:
        DataError: at once, for no samples, different numbers of images and masks, or a number of classes that the ids
            leave open; when a sample is read, for one-hot
            labels, channels first, values of 0 to 1, NaN, sizes that differ, ids beyond the classes. It names the
            sample.

    Example:

    >>> import numpy as np
    >>> import kseg
    >>> x, y = np.zeros((5, 16, 20, 3), "uint8"), np.ones((5, 16, 20), "uint8")
    >>> kseg.data.from_arrays(x, y, classes=["background", "person"]).split(0.4)[1][0][1].shape
    (16, 20)
    """
    if len(x) != len(y):
        raise DataError(f"{name}: {len(x)} images but {len(y)} masks")
    settings = {"channels": channels, "value_range": value_range, "multilabel": multilabel}
    source = _Arrays(_Pairs(x, y), len(x), name, **settings)
    known = IGNORE_LABEL if ignore_label is None else ignore_label
    dataset = _dataset(source, classes, name, split, palette, known)
    if ignore_label is not None:
        return dataset
    check = as_masks if multilabel else as_mask
    return white_as_class(readable(lambda index: check(y[index], ""), range(len(y))), dataset)


def from_generator(
    function: Callable[..., Any],
    length: int,
    classes: Sequence[str] | int | None = None,
    *,
    name: str = "generator",
    split: str = "train",
    palette: Sequence[tuple[int, int, int]] | None = None,
    ignore_label: int = IGNORE_LABEL,
    channels: int = 3,
    value_range: tuple[float, float] = BYTES,
    multilabel: bool = False,
) -> Dataset:
    """A data set of a function that makes samples.

    Args:
        function: either `function(index)`, which returns image and mask of that number, always the same; or, without
            arguments, a function that returns an iterator of (image, mask), as `tf.data.Dataset.from_generator` takes
            it: its samples are kept in memory as they come.
        length: how many samples there are.
        classes, name, split, palette, ignore_label, channels, value_range, multilabel: as `from_arrays`.

    Returns:
        A `Dataset`.

    Raises:
        DataError: as `from_arrays`; and for an iterator that ends early.

    Example:

    >>> import numpy as np
    >>> import kseg
    >>> def sample(index):
    ...     mask = np.random.default_rng(index).integers(0, 2, (16, 16), "uint8")
    ...     return np.repeat(mask[..., None] * 200, 3, axis=-1), mask
    >>> len(kseg.data.from_generator(sample, 100, classes=2))
    100
    """
    length = whole(length, "length")
    takes_number = any(
        parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in inspect.signature(function).parameters.values()
    )
    settings = {"channels": channels, "value_range": value_range, "multilabel": multilabel}
    source = _Arrays(function if takes_number else _Kept(function(), name), length, name, **settings)
    return _dataset(source, classes, name, split, palette, ignore_label)


def _dataset(
    source: _Arrays,
    classes: Sequence[str] | int | None,
    name: str,
    split: str,
    palette: Sequence[tuple[int, int, int]] | None,
    ignore_label: int,
) -> Dataset:
    if len(source) == 0:
        raise DataError(f"{name}: no samples")
    if classes is None and source.settings["multilabel"]:
        classes = np.shape(source.function(0)[1])[-1]
    if classes is None:
        masks = ((f"{name}, sample {index}", source.read(index)[1]) for index in range(len(source)))
        classes = count_classes(masks, name, ignore_label)
    return Dataset(name, split, class_names(classes, name), palette, source, ignore_label, **source.settings)


class _Pairs:
    """Image and mask by number; it pickles, for other processes."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def __call__(self, index: int) -> tuple[Any, Any]:
        return self.x[index], self.y[index]


class _Kept:
    """The samples of an iterator by number, read as far as they were asked for."""

    def __init__(self, iterator: Iterable[Any], name: str) -> None:
        self.iterator: Iterator[Any] = iter(iterator)
        self.name, self.samples = name, []

    def __call__(self, index: int) -> Any:
        while len(self.samples) <= index:
            sample = next(self.iterator, None)
            if sample is None:
                raise DataError(f"{self.name}: the generator ended after {len(self.samples)} samples")
            self.samples.append(sample)
        return self.samples[index]


class _Arrays:
    """An `ArraySource` of a function from a number to an image and a mask, both checked."""

    def __init__(
        self,
        function: Callable[[int], Any],
        length: int,
        name: str,
        *,
        channels: int = 3,
        value_range: tuple[float, float] = BYTES,
        multilabel: bool = False,
    ) -> None:
        self.function, self.length, self.name = function, length, name
        self.settings = {"channels": channels, "value_range": tuple(value_range), "multilabel": multilabel}

    def __len__(self) -> int:
        return self.length

    def name_of(self, index: int) -> str:
        return f"{self.name}_{index:05d}"

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        where = f"{self.name}, sample {index}"
        found = self.function(index)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise DataError(f"{where}: expected an image and a mask")
        channels, value_range, multilabel = self.settings.values()
        image = as_image(found[0], where, channels, value_range)
        return image, as_masks(found[1], where) if multilabel else as_mask(found[1], where)


def as_image(
    array: Any, where: str, channels: int = 3, value_range: tuple[float, float] = BYTES
) -> np.ndarray:
    """An array as uint8 RGB `(height, width, 3)`; DataError, which begins with `where`, if it is no such image.

    Of other channels, or of another range of values, as `as_bands`.
    """
    if (channels, tuple(value_range)) != (3, BYTES):
        return as_bands(array, where, channels, value_range)
    image = np.asarray(array)
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[-1] not in (1, 3):
        raise DataError(
            f"{where}: an image of shape {image.shape}: channels come last: transpose it to (height, width, 3)"
        )
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or 0 in image.shape:
        hint = f": declare channels={image.shape[-1]}" if image.ndim == 3 and image.shape[-1] < 32 else ""
        raise DataError(
            f"{where}: an image of shape {np.shape(array)}; expected (height, width, 3) or (height, width){hint}"
        )
    if image.dtype.kind == "f":
        if not np.isfinite(image).all():
            raise DataError(f"{where}: the image has NaN or infinite values")
        if image.min() < 0 or image.max() > 255:
            raise DataError(
                f"{where}: image values from {image.min():g} to {image.max():g}; expected 0 to 255"
            )
        if 0 < image.max() <= 1:
            raise DataError(
                f"{where}: image values from 0 to 1, where 0 to 255 is expected: multiply them by 255"
            )
        image = np.round(image).astype(np.uint8)
    elif image.dtype == np.uint16:
        if 255 < image.max() < 4096:
            raise DataError(
                f"{where}: uint16 values up to {image.max()}, where 65535 is white: multiply 10 or 12 bits up to 16"
            )
        image = to_8_bits(image) if image.max() > 255 else image.astype(np.uint8)
    elif image.dtype.kind in "iu":
        if image.min() < 0 or image.max() > 255:
            raise DataError(f"{where}: image values from {image.min()} to {image.max()}; expected 0 to 255")
        image = image.astype(np.uint8)
    else:
        raise DataError(f"{where}: an image of {image.dtype}; expected uint8")
    return np.ascontiguousarray(np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image)


def as_mask(array: Any, where: str) -> np.ndarray:
    """An array as uint8 class ids `(height, width)`; DataError, which begins with `where`, if it is no such mask."""
    mask = np.asarray(array)
    if mask.ndim == 3 and mask.shape[-1] == 1:
        mask = mask[..., 0]
    if mask.ndim == 3:
        sums = mask.sum(axis=-1)
        hint = (
            ": one-hot labels: store class ids, as np.argmax(mask, axis=-1) gives them"
            if (sums == 1).all()
            else ""
        )
        raise DataError(f"{where}: a mask of shape {mask.shape}; expected (height, width){hint}")
    if mask.ndim != 2 or 0 in mask.shape:
        raise DataError(f"{where}: a mask of shape {mask.shape}; expected (height, width)")
    if mask.dtype.kind == "f" and not (np.isfinite(mask) & (mask == np.floor(mask))).all():
        raise DataError(f"{where}: the mask holds fractions or NaN, where class ids are expected")
    if mask.dtype.kind not in "biuf":
        raise DataError(f"{where}: a mask of {mask.dtype}; expected whole numbers")
    if mask.dtype != bool and (mask.min() < 0 or mask.max() > 255):
        wrong = int(mask.min() if mask.min() < 0 else mask.max())
        raise DataError(f"{where}: class id {wrong} in the mask: ids are 0 to 254, and 255 is ignored")
    return np.ascontiguousarray(mask, dtype=np.uint8)


def as_masks(array: Any, where: str) -> np.ndarray:
    """An array as uint8 `(height, width, classes)` of 0, 1 and ignored; else a DataError, which begins with `where`."""
    mask = np.asarray(array)
    if mask.ndim != 3 or 0 in mask.shape:
        raise DataError(f"{where}: a mask of shape {mask.shape}; expected (height, width, classes), as classes overlap")
    values = np.unique(mask)
    if mask.dtype.kind not in "biuf" or not ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():
        raise DataError(f"{where}: the mask holds other values than 0, 1 and that of ignored pixels")
    return np.ascontiguousarray(mask, dtype=np.uint8)
