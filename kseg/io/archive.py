"""Files that came from elsewhere: what a model file holds is looked at before anything of it is unpacked.

A `.keras` file is a zip archive with an HDF5 file inside, an `.npz` file one of NumPy arrays. Keras refuses code in
it (safe mode) and NumPy pickles; this refuses what would reach other files or fill the memory. Nothing here imports
Keras or TensorFlow.
"""

from __future__ import annotations

import hashlib
import math
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from kseg.errors import ModelError

if TYPE_CHECKING:
    import h5py

# Weights shrink by a few percent; a file of zeros by a thousand. Small files may be as repetitive as they like.
EXPANSION = 100
SMALL_BYTES = 64 << 20
MEMBERS = 10_000
# What h5py and NumPy raise at files that are damaged or made to deceive them.
UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
)
_ADVICE = "nothing of it was loaded; download the file again from a source you trust"


def check_archive(path: str | Path) -> None:
    """Refuse a zip archive (`.keras`, `.npz`) that is more than it should be.

    Raises:
        ModelError: not a zip archive; a member whose name leads out of the archive, comes twice, is a link or
            encrypted; or one that unpacks to more than 64 MiB and to more than 100 times its size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        size = Path(path).stat().st_size
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: not a zip archive, as a Keras model file is one ({str(error)[:200]})"
        ) from None
    names = [member.filename for member in members]
    problems = []
    for member in members:
        what = f"its member {member.filename[:100]!r}"
        if leads_out(member.filename):
            problems.append(f"{what} leads out of the archive")
        elif stat.S_ISLNK(member.external_attr >> 16):
            problems.append(f"{what} is a link")
        elif member.flag_bits & 1:
            problems.append(f"{what} is encrypted")
    if len(members) > MEMBERS or len(set(names)) < len(names):
        problems.append(f"its {len(members)} members have {len(set(names))} names")
    if any(member.compress_size > size for member in members):  # zipfile makes room for it before it reads
        problems.append("a member claims more bytes than the archive has")
    unpacked = sum(member.file_size for member in members)
    if unpacked > max(SMALL_BYTES, EXPANSION * size):
        problems.append(f"{size:,} bytes would unpack to {unpacked:,}")
    if problems:
        raise ModelError(f"{path}: {problems[0]}: {_ADVICE}")


def leads_out(name: str) -> bool:
    """Whether a relative file name, with either kind of slash, reaches out of the folder it is joined to."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an `.npz` file, whose headers are believed only as far as the file bears them out.

    Raises:
        ModelError: as `check_archive`; a member that is not a NumPy array of numbers, or whose header promises
            another size than is there. NumPy makes room for what a header promises before it reads.
    """
    check_archive(path)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                what = f"{path}: its member {member.filename[:100]!r}"
                with archive.open(member) as file:
                    version = np.lib.format.read_magic(file)
                    if version not in readers:
                        raise ValueError(f"{what} has the version {version[0]}.{version[1]}")
                    shape, _, dtype = readers[version](file)
                    if dtype.hasobject:
                        raise ModelError(f"{what} holds Python objects, which could run code: {_ADVICE}")
                    promised, there = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
                    if promised != there:
                        raise ModelError(
                            f"{what} promises an array of {promised:,} bytes and has {there:,}: {_ADVICE}"
                        )
                with archive.open(member) as file:
                    name = member.filename.removesuffix(".npy")
                    arrays[name] = np.lib.format.read_array(file, allow_pickle=False)
    except UNREADABLE as error:
        raise ModelError(f"{path}: not a readable .npz file ({str(error)[:200]})") from error
    return arrays


@contextmanager
def open_hdf5(source: str | Path | BinaryIO, path: str | Path) -> Iterator[h5py.File]:
    """An HDF5 file to read from, after `check_hdf5`; `path` names it in messages.

    Raises:
        ModelError: as there; or what is read within it cannot be read.
    """
    import h5py

    try:
        with h5py.File(source, "r") as file:
            check_hdf5(file, path)
            yield file
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file") from None
    except UNREADABLE as error:
        raise ModelError(f"{path}: not a readable HDF5 file of weights ({str(error)[:200]})") from error


def check_hdf5(file: h5py.File, path: str | Path) -> None:
    """Refuse an open HDF5 file that draws on other files, or whose arrays are far larger than the file.

    Raises:
        ModelError: a soft or external link, external or virtual storage, arrays of objects or texts, or arrays of
            more than 64 MiB and of more than 100 times the file's size.
    """
    import h5py

    seen, groups, declared, size = set(), [file], 0, file.id.get_filesize()
    while groups:
        group = groups.pop()
        for name in group:
            try:
                hard = isinstance(group.get(name, getlink=True), h5py.HardLink)
            except TypeError:  # kinds of links that programs define themselves
                hard = False
            if not hard:
                where = f"{group.name.rstrip('/')}/{name}"
                raise ModelError(f"{path}: {where} is a link to another place: {_ADVICE}")
            item = group[name]
            if isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise ModelError(f"{path}: its array {item.name} lies in another file: {_ADVICE}")
                if item.dtype.hasobject or item.dtype.kind in "SU":
                    raise ModelError(f"{path}: its array {item.name} holds no numbers: {_ADVICE}")
                declared += (item.size or 0) * item.dtype.itemsize
            elif isinstance(item, h5py.Group) and (place := h5py.h5o.get_info(item.id).addr) not in seen:
                seen.add(place)
                groups.append(item)
    if declared > max(SMALL_BYTES, EXPANSION * size):
        raise ModelError(
            f"{path}: {size:,} bytes of HDF5 claim to hold arrays of {declared:,} bytes: {_ADVICE}"
        )


def verify_sha256(path: str | Path, expected: str) -> None:
    """ModelError unless the file has this SHA-256 checksum (64 hexadecimal digits)."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", expected):
        raise ModelError(f"{path}: a SHA-256 checksum has 64 hexadecimal digits, got {expected!r}")
    try:
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    if found != expected.lower():
        raise ModelError(
            f"{path}: SHA-256 is {found}, expected {expected.lower()}: the file is damaged or was "
            "changed; install kseg again, or download the file again from a source you trust"
        )
