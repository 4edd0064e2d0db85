"""`Source`: one program's files of one kind of network, and how kseg builds that network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.weights.transfer import Move

Arrays = dict[str, np.ndarray]


class Source(ABC):
    """What kseg knows about the files of one source.

    Attributes:
        name: such as "mmseg/pspnet".
        output_strides: those that the source has trained networks for, the usual one first.
        note: what no file says and kseg assumes.
        licence: as the source states it.
        page: where a person finds the files.
        marks: keys that files of this source have, and those of no other source have all of.
        auxiliary: the modules of its second head, in the order convolution, normalisation, scores; none for a network
            that has no such head.
    """

    name: str
    output_strides: tuple[int, ...]
    note: str
    licence: str
    page: str
    marks: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()

    def recognises(self, arrays: Arrays) -> bool:
        """Whether arrays are of this source, by their keys."""
        return all(mark in arrays for mark in self.marks)

    @abstractmethod
    def build(self, arrays: Arrays, output_stride: int) -> keras.Model:
        """The network for arrays, with random weights."""

    @abstractmethod
    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        """Where each array goes, for a network that `build` made."""

    def left_out(self, key: str) -> bool:
        """Whether a key is known to have no place in the network."""
        return is_counter(key)

    def by_name(self, file: str) -> str | None:
        """The other source that a file of these keys is of, by the name it was published under; None for none.

        Raises:
            ModelError: a network of these keys that kseg does not build.
        """
        return None


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
        raise ModelError(f"{what}: {key} is not the kernel of a convolution (its shape is {shape})")
    return shape
