"""`Source`: one program's files of one kind of network, and how kseg builds that network."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.weights.transfer import Move

Arrays = dict[str, np.ndarray]


class Source(ABC):
    """What kseg knows about the files of one source.

    Attributes:
        name: such as "mmseg/pspnet".
        output_strides: those that the source has networks for, the usual one first; none where the keys show it.
        note: how the source's networks are built, whatever the file says.
        licence: as the source states it.
        page: where a person finds the files.
        marks: keys that files of this source have, and those of no other source have all of.
        auxiliary: the modules of its second head, in the order convolution, normalisation, scores; none for a network
            that has no such head.
        spare: a pattern of the keys that have no place in the network, such as a second head's.
    """

    name: str
    note: str
    licence: str
    page: str
    output_strides: tuple[int, ...] = ()
    marks: tuple[str, ...] = ()
    auxiliary: tuple[str, ...] = ()
    spare: str = ""

    def recognises(self, arrays: Arrays) -> bool:
        """Whether arrays are of this source, by their keys."""
        return all(mark in arrays for mark in self.marks)

    def usual(self, arrays: Arrays, known: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of the network that its keys do not show, with the values that the source usually has.

        Args:
            arrays: the file's.
            known: settings that were given or that the file's config has.

        Raises:
            ModelError: a setting that has no usual value for these keys, and was not given.
        """
        return {"output_stride": self.output_strides[0]} if self.output_strides else {}

    def of_config(self, config: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
        """Settings by what the program that wrote the file says in its config; none if it is not the source's.

        Raises:
            ModelError: a config of a network that kseg does not build, or that contradicts the keys.
        """
        return {}

    @abstractmethod
    def build(self, arrays: Arrays, settings: Mapping[str, Any]) -> keras.Model:
        """The network for arrays, with random weights.

        Args:
            arrays: the file's.
            settings: a value for each name that `usual` has.
        """

    @abstractmethod
    def moves(self, model: keras.Model, arrays: Arrays) -> Iterable[Move]:
        """Where each array goes, for a network that `build` made."""

    def left_out(self, key: str) -> bool:
        """Whether a key is known to have no place in the network."""
        return is_counter(key) or bool(self.spare and re.fullmatch(self.spare, key))

    def by_name(self, file: str) -> str | None:
        """The other source that a file of these keys is of, by the name it was published under; None for none.

        Raises:
            ModelError: a network of these keys that kseg does not build.
        """
        return None


# The end of the keys of a convolution, of a batch normalisation or of a dense layer.
ENDING = r"\.(weight|bias|running_mean|running_var)"


def is_counter(key: str) -> bool:
    """Whether a key is PyTorch's count of batches, which inference has no use for."""
    return key.endswith("num_batches_tracked")


def classes_of(arrays: Arrays, key: str) -> int:
    """The number of classes, by the score layer's first axis; or of any layer's filters.

    Raises:
        ModelError: it has none.
    """
    count = int(arrays[key].shape[0]) if arrays[key].ndim else 0
    if not count:
        raise ModelError(f"{key} has the shape {arrays[key].shape}: a layer of 0 filters, or 0 classes")
    return count


def count_of(arrays: Arrays, pattern: str, first: int = 0) -> int:
    """How many of a row of modules there are, by the last one's number: "layer3.{}." gives the blocks of a stage.

    One that lacks a key, or all of them, is counted: the network then has layers that get no array, which are named.

    Args:
        arrays: the file's.
        pattern: what the keys of the modules begin with.
        first: the number of the first module.
    """
    start, end = pattern.split("{}")
    numbers = {key[len(start) :].partition(end)[0] for key in arrays if key.startswith(start) and end in key}
    found = [int(number) for number in numbers if number.isdecimal() and len(number) < 4]
    return max((number for number in found if number >= first), default=first - 1) - first + 1


def row_of(
    name: str, usual: tuple[int, ...], arrays: Arrays, pattern: str, known: Mapping[str, Any], first: int = 0
) -> tuple[int, ...]:
    """The usual values of a row of modules, such as the rates of an ASPP, where the file has as many modules.

    Args:
        name: of the setting.
        usual: a value for each module.
        arrays, pattern, first: as `count_of` takes them.
        known: settings that are known; of another number of modules, they have to be.

    Raises:
        ModelError: another number of modules, and the setting is not known.
    """
    count = count_of(arrays, pattern, first)
    if count == len(usual) or not count:
        return usual
    if name not in known:
        raise ModelError(
            f"{count} modules {pattern.format('N')}* and not {len(usual)}: no key shows their {name}; say them with "
            f"`settings` (--set {name}={','.join(map(str, range(1, count + 1)))})"
        )
    return tuple(range(1, count + 1))


def shape_of(arrays: Arrays, key: str, what: str) -> tuple[int, ...]:
    """The shape of a convolution's kernel.

    Raises:
        KeyError: the file has no such key.
        ModelError: it is no convolution's.
    """
    shape = arrays[key].shape
    if len(shape) != 4:
        raise ModelError(f"{what}: {key} is not the kernel of a convolution (its shape is {shape})")
    return shape
