"""Arrays that look into a mapped file: nothing is copied, and every size is checked against what is there."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from kseg.errors import ModelError

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
MAX_ARRAYS = 50_000  # the deepest published network has some 2,000
# A file may say the same numbers more than once (tied weights), but not ever again.
_REPEATS = 4
_SMALL = 1 << 20


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """The bytes of a file as a read-only `mmap`, which lives as long as an array looks into it.

    Raises:
        ModelError: the file is missing, empty or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise ModelError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    yield content


def strided(flat: np.ndarray, offset: Any, shape: Any, strides: Any, what: str) -> np.ndarray:
    """A view of `flat` as PyTorch describes it: offset, shape and strides in elements.

    Raises:
        ModelError: numbers that are not whole or negative, a shape of more elements than `flat` has, or one that
            reaches beyond it.
    """
    shape, strides = _whole(shape), _whole(strides)
    start = _whole((offset,))
    fits = None not in (shape, strides, start) and len(shape) == len(strides) <= 16
    if fits and 0 in shape:
        return without_numbers(shape, flat.dtype, what)
    if fits:
        last = start[0] + sum((side - 1) * step for side, step in zip(shape, strides, strict=True))
        fits = math.prod(shape) <= flat.size and last < flat.size
    if not fits:
        raise ModelError(
            f"{what} claims a size, offset or strides that reach beyond its {flat.size:,} stored numbers; "
            "nothing was loaded"
        )
    tail = flat[start[0] :]
    return np.lib.stride_tricks.as_strided(
        tail, shape, [step * flat.itemsize for step in strides], writeable=False
    )


def without_numbers(shape: Sequence[int], dtype: np.dtype, what: str) -> np.ndarray:
    """An array with a side of 0, whose other sides a file may claim to be anything.

    Raises:
        ModelError: sides that no array has.
    """
    if math.prod(side for side in shape if side) >= 1 << 40:
        raise ModelError(f"{what} claims the shape {tuple(shape)}; nothing was loaded")
    return np.zeros(shape, dtype)


def _whole(values: Any) -> tuple[int, ...] | None:
    if not isinstance(values, (tuple, list)) or not all(type(v) is int and 0 <= v < 1 << 62 for v in values):
        return None
    return tuple(values)


def check_total(arrays: Iterable[np.ndarray], size: int, path: Path) -> None:
    """Refuse arrays that look at the same numbers again and again, so that copying them would fill the memory.

    Raises:
        ModelError: more arrays than a network has, or more numbers than four times the file holds.
    """
    arrays = list(arrays)
    total = sum(array.nbytes for array in arrays)
    if len(arrays) > MAX_ARRAYS or total > max(_SMALL, _REPEATS * size):
        raise ModelError(
            f"{path}: {size:,} bytes claim to hold {len(arrays):,} arrays of {total:,} bytes in all; nothing was loaded"
        )


def as_numpy(array: np.ndarray) -> np.ndarray:
    """bfloat16, which NumPy does not know by itself, as float32; every other array as it is."""
    return array.astype(np.float32) if array.dtype == BFLOAT16 else array
