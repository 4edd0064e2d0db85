"""Masks in MATLAB files, as the Semantic Boundaries Dataset (SBD) stores them, read without SciPy.

Only what SBD's `cls/*.mat` use is read: level 5 MAT files, with or without compression, that hold a structure
`GTcls` with a numeric matrix `Segmentation`. Nothing in such a file is executed.

Source: "MAT-File Format", The MathWorks, R2016b, chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kseg.errors import DataError
from kseg.io.regular import read_regular

_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_STRUCTURE, _FIRST_NUMERIC, _LAST_NUMERIC = 2, 6, 15  # classes of a matrix
_BYTES_A_PIXEL = 32  # at most: Segmentation in doubles, boundaries and names


def read_mat_mask(path: str | Path, max_pixels: int) -> np.ndarray:
    """`GTcls.Segmentation` of a SBD file as uint8 class ids (H, W).

    Raises:
        DataError: no such file, not a level 5 MAT file with `GTcls.Segmentation`, damaged, larger than
            `max_pixels`, or values that are not class ids.
    """
    data = read_regular(Path(path), max_pixels)
    try:
        values = _segmentation(data, max_pixels)
    except (struct.error, zlib.error, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: expected a MATLAB file with the matrix GTcls.Segmentation, as in SBD's cls folder; this "
            f"one is another or damaged ({error}): replace or remove it"
        ) from None
    if values.size > max_pixels:
        raise DataError(
            f"{path}: {values.shape[0]}x{values.shape[1]} pixels are more than the limit of {max_pixels:,}"
        )
    if not ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():
        raise DataError(
            f"{path}: values from {values.min()} to {values.max()} that are not class ids 0 to 254"
        )
    return np.ascontiguousarray(values, dtype=np.uint8)


def _segmentation(data: bytes, max_pixels: int) -> np.ndarray:
    if len(data) < 128 or data[126:128] not in (b"IM", b"MI"):
        raise ValueError("no MAT header of level 5")
    order = "<" if data[126:128] == b"IM" else ">"
    for kind, content in _elements(data[128:], order):
        if kind == _COMPRESSED:
            stream, most = zlib.decompressobj(), max_pixels * _BYTES_A_PIXEL
            content = stream.decompress(content, most)
            if stream.unconsumed_tail:
                raise ValueError(f"more than {most:,} bytes when decompressed")
            kind, content = _next(_elements(content, order))
        if kind == _MATRIX:
            name, fields = _structure(content, order)
            if name == "GTcls":
                # A real numeric matrix (rows, columns), in whatever type it is stored.
                parts = _elements(fields["Segmentation"], order)
                flags, sizes, _ = (_next(parts)[1] for _ in range(3))
                if not _FIRST_NUMERIC <= struct.unpack_from(order + "I", flags)[0] & 0xFF <= _LAST_NUMERIC:
                    raise ValueError("Segmentation is not a numeric matrix")
                rows, columns = struct.unpack(order + "ii", sizes)
                kind, values = _next(parts)
                found = np.frombuffer(values, order + _NUMBERS[kind])
                return found.reshape((rows, columns), order="F")
    raise ValueError("no GTcls")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the data elements that follow each other; a small element holds up to 4 bytes."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start = at + 8
            end = start + size + (-size % 8 if kind != _COMPRESSED else 0)
        if start + size > len(data):
            raise ValueError("cut short")
        yield kind, data[start : start + size]
        at = end


def _next(parts: Iterator[tuple[int, bytes]]) -> tuple[int, bytes]:
    found = next(parts, None)
    if found is None:
        raise ValueError("cut short")
    return found


def _structure(content: bytes, order: str) -> tuple[str, dict[str, bytes]]:
    """The name of a matrix, and where it is a 1x1 structure the content of each field."""
    parts = _elements(content, order)
    flags, _, name = (_next(parts)[1] for _ in range(3))
    if struct.unpack_from(order + "I", flags)[0] & 0xFF != _STRUCTURE:
        return name.decode("ascii"), {}
    length = struct.unpack_from(order + "i", _next(parts)[1])[0]
    if length < 1:
        raise ValueError("field names without length")
    names = _next(parts)[1]
    fields = [names[i : i + length].split(b"\0")[0].decode("ascii") for i in range(0, len(names), length)]
    return name.decode("ascii"), {field: part for field, (_, part) in zip(fields, parts, strict=False)}
