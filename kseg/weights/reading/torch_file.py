"""`read_torch`: a PyTorch checkpoint, in either of its containers, without PyTorch."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kseg.errors import ModelError
from kseg.io.archive import check_archive
from kseg.weights.reading.numpy_values import CALLS as NUMPY_CALLS
from kseg.weights.reading.pickles import DAMAGED, Inert, Named, load_pickle
from kseg.weights.reading.state import unwrap
from kseg.weights.reading.views import BFLOAT16, as_numpy, check_total, mapped, strided

# How the older container begins: its first pickle is this number.
_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_STORAGES = {
    "DoubleStorage": np.dtype("f8"),
    "FloatStorage": np.dtype("f4"),
    "HalfStorage": np.dtype("f2"),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype("i8"),
    "IntStorage": np.dtype("i4"),
    "ShortStorage": np.dtype("i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
    "UntypedStorage": np.dtype("u1"),
}
_ADVICE = "nothing was loaded; download the file again from a source you trust"


@dataclass(frozen=True)
class _Storage:
    """A run of numbers that the pickle refers to."""

    key: str
    dtype: np.dtype
    count: int
    start: int = 0


@dataclass(frozen=True)
class _Tensor:
    """A tensor as the pickle describes it, before its numbers were looked for."""

    storage: _Storage
    offset: Any
    shape: Any
    strides: Any


def read_torch(path: Path, part: str | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The state dict of a PyTorch checkpoint (`.pth`, `.pt`, `.bin`), as views of the mapped file.

    Reads the zip container (PyTorch 1.6 and later) and the older stream of pickles. Nothing that the file names is
    imported or called.

    Args:
        path: the file.
        part: as `unwrap` takes it.

    Returns:
        Arrays by key, and `meta` as `unwrap` gives it.

    Raises:
        ModelError: another kind of file, a TorchScript program, a damaged file, a pickle that could run code, or
            tensors that claim more than the file holds.
    """
    with mapped(path) as content:
        if content[:4] == b"PK\x03\x04":
            tree, numbers = _read_zip(path, content)
        else:
            tree, numbers = _read_stream(path, content)
        state, meta = unwrap(tree, path, _Tensor, part)
        views = {
            key: strided(numbers(one.storage), one.offset, one.shape, one.strides, f"{path}: {key}")
            for key, one in state.items()
        }
        check_total(views.values(), len(content), path)
    return {key: as_numpy(view) for key, view in views.items()}, meta


def _read_zip(path: Path, content: mmap) -> tuple[Any, Callable[[_Storage], np.ndarray]]:
    check_archive(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member for member in archive.infolist()}
            directory = archive.start_dir
    except DAMAGED as error:
        raise ModelError(f"{path}: not a readable zip archive ({str(error)[:200]})") from None
    pickled = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    if not pickled:
        raise ModelError(f"{path}: a zip archive without data.pkl is no PyTorch checkpoint")
    prefix = pickled[0].removesuffix("data.pkl")
    if any(name.startswith((f"{prefix}code/", f"{prefix}constants.pkl")) for name in members):
        raise ModelError(
            f"{path}: a TorchScript program, not a state dict: save `model.state_dict()` in PyTorch and import that"
        )
    places = _places(path, content, members, directory)
    order = (
        bytes(content[slice(*places[f"{prefix}byteorder"])]) if f"{prefix}byteorder" in places else b"little"
    )
    if order not in (b"little", b"big"):
        raise ModelError(f"{path}: its byte order is neither little nor big; {_ADVICE}")
    tree = _load(io.BytesIO(content[slice(*places[pickled[0]])]), len(content), path)

    def numbers(storage: _Storage) -> np.ndarray:
        start, end = places.get(f"{prefix}data/{storage.key}", (0, 0))
        return _numbers(content, start, end, storage, order.decode(), path)

    return tree, numbers


def _places(path: Path, content: mmap, members: dict, directory: int) -> dict[str, tuple[int, int]]:
    """Where each member's bytes lie; ModelError where they are packed, overlap, or lie outside of the file."""
    places = {}
    for name, member in members.items():
        header = content[member.header_offset : member.header_offset + 30]
        lengths = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
        start = member.header_offset + 30 + sum(lengths)
        sound = len(header) == 30 and header[:4] == b"PK\x03\x04" and start + member.file_size <= directory
        if (
            not sound
            or member.compress_type != zipfile.ZIP_STORED
            or member.compress_size != member.file_size
        ):
            raise ModelError(f"{path}: its member {name!r} is not stored as PyTorch stores it; {_ADVICE}")
        places[name] = start, start + member.file_size
    ends = 0
    for start, end in sorted(places.values()):
        if start < ends:
            raise ModelError(f"{path}: members of the archive overlap; {_ADVICE}")
        ends = end
    return places


def _read_stream(path: Path, content: mmap) -> tuple[Any, Callable[[_Storage], np.ndarray]]:
    content.seek(0)
    size = len(content)
    if content[:1] != b"\x80" or _load(content, size, path) != _MAGIC:
        raise ModelError(
            f"{path}: not a PyTorch checkpoint: neither a zip archive nor its older stream of pickles"
        )
    protocol, system = _load(content, size, path), _load(content, size, path)
    if protocol != _PROTOCOL or not isinstance(system, dict):
        raise ModelError(f"{path}: a PyTorch stream of an unknown kind; {_ADVICE}")
    order = "little" if system.get("little_endian", True) is True else "big"
    declared: dict[str, _Storage] = {}
    tree = _load(content, size, path, declared)
    keys = _load(content, size, path)
    if (
        not isinstance(keys, list)
        or not all(isinstance(key, str) for key in keys)
        or len(set(keys)) != len(keys)
    ):
        raise ModelError(f"{path}: its list of storages is damaged; {_ADVICE}")
    places, position = {}, content.tell()
    for key in keys:
        if key not in declared:
            raise ModelError(f"{path}: stores {key[:40]!r}, which nothing refers to; {_ADVICE}")
        count = int.from_bytes(content[position : position + 8], order, signed=True)
        start = position + 8
        position = start + count * declared[key].dtype.itemsize
        if count < 0 or start > size or position > size:
            raise ModelError(f"{path}: the file ends before its numbers do, or they were changed; {_ADVICE}")
        places[key] = start, position

    def numbers(storage: _Storage) -> np.ndarray:
        start, end = places.get(storage.key, (0, 0))
        return _numbers(content, start, end, storage, order, path)

    return tree, numbers


def _numbers(content: mmap, start: int, end: int, storage: _Storage, order: str, path: Path) -> np.ndarray:
    """The numbers of one storage, as a view of the file."""
    begin = start + storage.start * storage.dtype.itemsize
    if storage.count < 0 or storage.start < 0 or begin + storage.count * storage.dtype.itemsize > end:
        raise ModelError(
            f"{path}: the storage {storage.key[:40]!r} claims {storage.count:,} numbers and has {end - start:,} bytes; "
            f"{_ADVICE}"
        )
    dtype = storage.dtype
    if order != sys.byteorder and dtype != BFLOAT16:
        dtype = dtype.newbyteorder()
    elif order != sys.byteorder:
        raise ModelError(f"{path}: bfloat16 numbers in the other byte order are not read")
    return np.frombuffer(content, dtype, storage.count, begin)


def _load(stream: BinaryIO | mmap, size: int, path: Path, declared: dict[str, _Storage] | None = None) -> Any:
    def persistent(identity: Any) -> _Storage:
        sound = isinstance(identity, tuple) and len(identity) in (5, 6) and identity[0] == "storage"
        if not sound or not isinstance(identity[1], Named):
            raise ValueError("a reference to something that is not a storage")
        _, kind, key, _, count, *view = identity
        dtype = _STORAGES.get(kind.name.rpartition(".")[2]) if kind.name.startswith("torch.") else None
        if "Complex" in kind.name:
            raise ModelError(
                f"{path}: holds complex numbers ({kind.name[:60]}), which no network of kseg has"
            )
        if dtype is None or not isinstance(key, (str, int)) or type(count) is not int:
            raise ValueError(f"storage of the unknown kind {kind.name[:60]}")
        storage = _Storage(str(key), dtype, count)
        if declared is not None:
            declared.setdefault(storage.key, storage)
        if view and view[0] is not None:  # a part of another storage: its key, where it begins, its length
            _, start, count = view[0]
            storage = _Storage(storage.key, dtype, int(count), int(start))
        return storage

    return load_pickle(stream, _CALLS, persistent, size, str(path))


def _tensor(storage: Any, offset: Any = 0, shape: Any = (), strides: Any = (), *_: Any) -> Any:
    return _Tensor(storage, offset, shape, strides) if isinstance(storage, _Storage) else Inert("tensor")


def _typed_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> Any:
    """`_rebuild_tensor_v3`: the storage is bytes, the third of what follows names the kind of number."""
    kind = getattr(rest[2], "name", "") if len(rest) > 2 else ""
    wide = {"torch.uint16": "u2", "torch.uint32": "u4", "torch.uint64": "u8"}.get(kind)
    if wide is None or not isinstance(storage, _Storage):
        return Inert(kind)
    dtype = np.dtype(wide)
    return _tensor(_Storage(storage.key, dtype, storage.count // dtype.itemsize), offset, shape, strides)


_CALLS: dict[str, Callable[..., Any]] = {
    **NUMPY_CALLS,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch.Size": lambda items=(), *_: tuple(items) if isinstance(items, (list, tuple)) else (),
    "collections.OrderedDict": lambda *items: {} if not items else _pairs(items[0]),
    "collections.defaultdict": lambda *_: {},
    "builtins.dict": lambda *_: {},
    "builtins.list": lambda *_: [],
    "builtins.set": lambda items=(), *_: items if isinstance(items, list) else [],
}


def _pairs(items: Any) -> dict[str, Any]:
    """An ordered dict from a list of pairs, as Python 2 wrote it."""
    if not isinstance(items, list):
        return {}
    return {
        pair[0]: pair[1] for pair in items if isinstance(pair, (list, tuple)) and isinstance(pair[0], str)
    }
