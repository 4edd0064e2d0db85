"""`Source`: one program's files of one kind of network, and how kseg builds that network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.weights.transfer import Move

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Source:
    """What kseg knows about the files of one source.

    Args:
        name: such as "mmseg/pspnet".
        recognises: whether arrays are of this source, by their keys.
        build: the network for arrays, with random weights; takes the arrays and `output_stride`.
        moves: where each array goes, for a network that `build` made.
        output_strides: those that the source has trained networks for, the usual one first.
        left_out: whether a key is known to have no place in the network.
        note: what no file says and kseg assumes.
        licence: as the source states it.
        page: where a person finds the files.
        auxiliary: the modules of its second head, in the order convolution, normalisation, scores; none for a network
            that has no such head.
        by_name: the other source that a file of these keys is of, by the name it was published under; None for none.
    """

    name: str
    recognises: Callable[[Arrays], bool]
    build: Callable[[Arrays, int], keras.Model]
    moves: Callable[[keras.Model, Arrays], Iterable[Move]]
    output_strides: tuple[int, ...]
    note: str
    licence: str
    page: str
    left_out: Callable[[str], bool] = field(default=lambda key: False)
    auxiliary: tuple[str, ...] = ()
    by_name: Callable[[str], str | None] = field(default=lambda file: None)


def is_counter(key: str) -> bool:
    """Whether a key is PyTorch's count of batches, which inference has no use for."""
    return key.endswith("num_batches_tracked")


def classes_of(arrays: Arrays, key: str) -> int:
    """The number of classes, by the score layer's first axis."""
    return int(arrays[key].shape[0]) if arrays[key].ndim else 0


def count_of(arrays: Arrays, pattern: str, first: int = 0) -> int:
    """How many numbers from `first` on have a key: "layer3.{}.conv1.weight" gives the blocks of a stage."""
    count = 0
    while pattern.format(first + count) in arrays:
        count += 1
    return count


def shape_of(arrays: Arrays, key: str, what: str) -> tuple[int, ...]:
    """The shape of a convolution's kernel; ModelError where it is no convolution's."""
    shape = arrays[key].shape if key in arrays else ()
    if len(shape) != 4:
        raise ModelError(f"{what}: {key} is no kernel of a convolution (its shape is {shape})")
    return shape
