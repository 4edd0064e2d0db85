"""`read_checkpoint`: TensorFlow's checkpoints and SavedModels, without TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError
from kseg.io.formats.checksum import masked_crc32c
from kseg.weights.reading.protobuf import CHUNK, FIXED32, VARINT, Message, tensor_shape
from kseg.weights.reading.table import read_table
from kseg.weights.reading.views import BFLOAT16, as_numpy, check_total, mapped, without_numbers

_AVERAGE, _VALUE = "/ExponentialMovingAverage", "/.ATTRIBUTES/VARIABLE_VALUE"
# Fields of the header, and of what stands for a variable, with the wire type of each.
_SHARDS, _ENDIANNESS = 1, 2
_DTYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CHECKSUM, _SLICES = range(1, 8)
_WIRES = {_SHAPE: CHUNK, _CHECKSUM: FIXED32, _SLICES: CHUNK}
# TensorFlow's numbers of its dtypes.
_DTYPES = {
    1: np.dtype("f4"),
    2: np.dtype("f8"),
    3: np.dtype("i4"),
    4: np.dtype("u1"),
    5: np.dtype("i2"),
    6: np.dtype("i1"),
    9: np.dtype("i8"),
    10: np.dtype("?"),
    14: BFLOAT16,
    17: np.dtype("u2"),
    19: np.dtype("f2"),
    22: np.dtype("u4"),
    23: np.dtype("u8"),
}
_NO_NUMBERS = (7, 20, 21)  # texts, resources, variants
_ADVICE = "nothing was loaded; download the checkpoint again from a source you trust"


@dataclass(frozen=True)
class _Variable:
    """What the index says of a variable."""

    dtype: np.dtype
    shape: list[int]
    shard: int
    offset: int
    size: int
    checksum: int


def checkpoint_prefix(path: Path) -> Path | None:
    """The name that a checkpoint's files begin with; None where `path` belongs to no checkpoint.

    Args:
        path: a SavedModel's folder, a checkpoint's prefix ("model.ckpt-30000"), or one of its files.
    """
    if path.is_dir():
        path = path / "variables" / "variables"
    name = path.name
    if name.endswith((".index", ".meta")):
        path = path.with_suffix("")
    elif ".data-" in name:
        path = path.with_name(name.rpartition(".data-")[0])
    return path if path.with_name(f"{path.name}.index").is_file() else None


def read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The variables of a TensorFlow checkpoint (V2) or a SavedModel, as views of the mapped files. Its graph is neither
    read nor run.

    Args:
        path: as for `checkpoint_prefix`.

    Returns:
        Arrays by variable name. Where a variable has a moving average, that is what its name stands for. And an empty
        dict.

    Raises:
        ModelError: no checkpoint, a damaged one, one that claims more than its files hold, or one whose variables are
            stored in parts.
    """
    prefix = checkpoint_prefix(path)
    if prefix is None:
        raise ModelError(
            f"{path}: not a TensorFlow checkpoint: expected NAME.index and NAME.data-00000-of-00001"
        )
    order, shards, variables = _index(prefix.with_name(f"{prefix.name}.index"))
    contents = {}
    for number in sorted({variable.shard for variable in variables.values() if variable.size}):
        with mapped(prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{shards:05d}")) as content:
            contents[number] = content
    views = {}
    for name, variable in variables.items():
        what, content = f"{path}: the variable {name[:100]!r}", contents.get(variable.shard, b"")
        if variable.size == 0:
            views[name] = without_numbers(variable.shape, variable.dtype, what)
        elif variable.offset + variable.size > len(content):
            raise ModelError(f"{what} reaches beyond its file; {_ADVICE}")
        else:
            dtype, count = variable.dtype.newbyteorder(order), variable.size // variable.dtype.itemsize
            views[name] = np.frombuffer(content, dtype, count, variable.offset).reshape(variable.shape)
    check_total(views.values(), sum(map(len, contents.values())), path)
    for name, variable in variables.items():
        stored = memoryview(contents.get(variable.shard, b""))[variable.offset : variable.offset + variable.size]
        if variable.size and masked_crc32c(stored) != variable.checksum:
            raise ModelError(f"{path}: the numbers of {name[:100]!r} are damaged; {_ADVICE}")
    return {name.removesuffix(_VALUE): as_numpy(view) for name, view in views.items()}, {}


def _index(path: Path) -> tuple[str, int, dict[str, _Variable]]:
    """The byte order and the number of files that a checkpoint's index names, and the variables that count."""
    table = read_table(path)
    if b"" not in table:
        raise ModelError(f"{path}: not the index of a TensorFlow checkpoint, or a damaged one")
    header, variables = _fields(table.pop(b"")), {}
    for key, value in table.items():
        if key.startswith(b"\0"):  # a part of a variable, which says itself that it has parts
            continue
        try:
            name = key.decode("utf-8")
        except UnicodeDecodeError:
            raise ModelError(f"{path}: the name of a variable is not text; {_ADVICE}") from None
        variable = _variable(value, f"{path}: the variable {name[:100]!r}")
        if variable is not None:
            variables[name] = variable
    for name in [name for name in variables if name.endswith(_AVERAGE)]:
        variables[name.removesuffix(_AVERAGE)] = variables.pop(name)
    return ">" if header.get(_ENDIANNESS) else "<", header.get(_SHARDS, 0), variables


def _variable(value: Message, what: str) -> _Variable | None:
    """A variable as the index tells of it; None of texts and of what has no numbers."""
    found = _fields(value)
    if found.get(_DTYPE) in _NO_NUMBERS:
        return None
    dtype = _DTYPES.get(found.get(_DTYPE, 0))
    if dtype is None or _SLICES in found:
        why = "is stored in parts" if dtype else f"has the dtype number {found.get(_DTYPE, 0)}"
        raise ModelError(f"{what} {why}, which kseg does not read; nothing was loaded")
    shape = tensor_shape(found[_SHAPE]) if _SHAPE in found else []
    size = found.get(_SIZE, 0)
    if len(shape) > 16 or math.prod(shape) * dtype.itemsize != size:
        raise ModelError(f"{what} claims the shape {tuple(shape[:16])} and {size:,} bytes; {_ADVICE}")
    checksum = int(found[_CHECKSUM].numbers("<u4", tagged=True)[-1]) if _CHECKSUM in found else 0
    return _Variable(dtype, shape, found.get(_SHARD, 0), found.get(_OFFSET, 0), size, checksum)


def _fields(message: Message) -> dict[int, Any]:
    """The last value of each field."""
    return {
        field: value
        for field, wire, value in message.fields(*range(1, 8))
        if wire == _WIRES.get(field, VARINT)
    }
