"""`read_caffemodel`: the blobs of a Caffe network, read field by field from its protocol buffer."""

from __future__ import annotations

import math
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError
from kseg.weights.reading.views import MAX_ARRAYS, check_total, mapped

# NetParameter: field number of its layers -> field numbers of a layer's name, type and blobs. The first is that of
# Caffe's first format (V1), whose types are numbers.
_LAYERS = {2: (4, 5, 6), 100: (1, 2, 7)}
_FIRST_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}
# BlobProto's fields.
_SIDES, _DATA, _SHAPE, _DOUBLES = (1, 2, 3, 4), 5, 7, 8
_VARINT, _FIXED64, _CHUNK, _FIXED32 = 0, 1, 2, 5
Bytes = mmap | memoryview


def read_caffemodel(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The blobs of a `.caffemodel` file, in Caffe's first (V1) or present format, as views of the mapped file.

    Returns:
        Arrays by "<layer>/<number of the blob>", in Caffe's axes, and `meta`: "types" (layer -> type).

    Raises:
        ModelError: not such a file, a damaged one, or a blob whose shape and numbers disagree.
    """
    with mapped(path) as content:
        arrays: dict[str, np.ndarray] = {}
        types: dict[str, str] = {}
        # Where a file has both formats, the present one counts.
        for wanted in (100, 2):
            for _, wire, layer in _fields(content, 0, len(content), path, (wanted,)):
                if wire == _CHUNK:
                    _read_layer(content, layer, wanted, arrays, types, path)
            if arrays:
                break
        if not arrays:
            raise ModelError(f"{path}: not a caffemodel: it has no layers with blobs")
        check_total(arrays.values(), len(content), path)
    return arrays, {"types": types}


def _read_layer(content, place, version, arrays, types, path) -> None:
    name_field, type_field, blob_field = _LAYERS[version]
    name, kind, blobs = "", "", []
    for field, wire, value in _fields(content, *place, path, (name_field, type_field, blob_field)):
        if field == name_field and wire == _CHUNK:
            name = _text(content, value, path)
        elif field == type_field and wire in (_VARINT, _CHUNK):
            kind = _FIRST_TYPES.get(value, str(value)) if wire == _VARINT else _text(content, value, path)
        elif field == blob_field and wire == _CHUNK:
            blobs.append(value)
    if not blobs:
        return
    if f"{name}/0" in arrays:
        raise ModelError(f"{path}: has two layers called {name[:60]!r}; which one is meant cannot be told")
    if len(arrays) + len(blobs) > MAX_ARRAYS:
        raise ModelError(
            f"{path}: has more than {MAX_ARRAYS:,} blobs, which no network has; nothing was loaded"
        )
    types[name] = kind
    for number, blob in enumerate(blobs):
        arrays[f"{name}/{number}"] = _read_blob(
            content, blob, f"{path}: blob {number} of {name[:60]!r}", path
        )


def _read_blob(content, place, what, path) -> np.ndarray:
    sides, shape, parts = {}, None, []
    for field, wire, value in _fields(content, *place, path, (*_SIDES, _DATA, _SHAPE, _DOUBLES)):
        if field in _SIDES and wire == _VARINT:
            sides[field] = value
        elif field == _SHAPE and wire == _CHUNK:
            shape = _shape(content, value, path)
        elif field in (_DATA, _DOUBLES) and wire in (_CHUNK, _FIXED32, _FIXED64):
            parts.append(_numbers(content, field, wire, value, what))
            if len(parts) > 1 << 12:
                raise ModelError(f"{what} is cut into too many pieces; nothing was loaded")
    if shape is None:
        shape = tuple(sides.get(field, 1) for field in _SIDES) if sides else ()
    numbers = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, "f4")
    if len(shape) > 16 or not numbers.size or math.prod(shape) != numbers.size:
        raise ModelError(
            f"{what} has the shape {shape[:16]} and {numbers.size:,} numbers; nothing was loaded"
        )
    return numbers.reshape(shape)


def _numbers(content, field, wire, value, what) -> np.ndarray:
    dtype = np.dtype("<f4" if field == _DATA else "<f8")
    if wire == _CHUNK:
        start, end = value
        if (end - start) % dtype.itemsize:
            raise ModelError(f"{what} ends in the midst of a number; nothing was loaded")
        return np.frombuffer(content, dtype, (end - start) // dtype.itemsize, start)
    # One number after another, each behind its own tag; `value` is where the run lies.
    start, end = value
    tagged = np.dtype([("tag", "u1"), ("number", dtype)])
    return np.frombuffer(content, tagged, (end - start) // tagged.itemsize, start)["number"]


def _shape(content, place, path) -> tuple[int, ...]:
    shape: list[int] = []
    for field, wire, value in _fields(content, *place, path, (1,)):
        if field == 1 and wire == _VARINT:
            shape.append(value)
        elif field == 1 and wire == _CHUNK:
            position, end = value
            while position < end:
                side, position = _varint(content, position, end, path)
                shape.append(side)
        if len(shape) > 32:
            break
    return tuple(shape)


def _fields(
    content: Bytes, position: int, end: int, path: Path, wanted: tuple[int, ...]
) -> Iterator[tuple[int, int, Any]]:
    """Field number, wire type and value of the wanted fields of a message: a number, or where its bytes begin and end.

    Numbers that stand one by one behind a tag of a single byte (unpacked floats) come as one run.
    """
    while position < end:
        tag, begin = _varint(content, position, end, path)
        field, wire = tag >> 3, tag & 7
        value: Any
        if wire == _VARINT:
            value, next_ = _varint(content, begin, end, path)
        elif wire == _CHUNK:
            length, begin = _varint(content, begin, end, path)
            next_ = begin + length
            value = begin, next_
        elif wire in (_FIXED32, _FIXED64):
            width = 1 + (4 if wire == _FIXED32 else 8)
            next_ = _end_of_run(content, position, end, width) if begin == position + 1 else begin + width - 1
            value = position, next_
        else:
            next_ = end + 1
        if next_ > end or field == 0:
            raise ModelError(
                f"{path}: not a caffemodel, or a damaged one: a field reaches beyond its message"
            )
        position = next_
        if field in wanted:
            yield field, wire, value


def _end_of_run(content: Bytes, position: int, end: int, width: int) -> int:
    """Where a run of numbers with the same tag ends; beyond `end` for a number that is cut."""
    count = (end - position) // width
    if count == 0:
        return end + 1
    tags = np.frombuffer(content, np.dtype([("tag", "u1"), ("rest", f"V{width - 1}")]), count, position)[
        "tag"
    ]
    block, same = 1 << 16, 0
    while same < count:  # in blocks: a message may hold something else behind a short run
        alike = tags[same : same + block] == tags[0]
        if not alike.all():
            return position + width * (same + int(alike.argmin()))
        same += len(alike)
    return position + width * count


def _varint(content: Bytes, position: int, end: int, path: Path) -> tuple[int, int]:
    """A whole number of up to ten bytes, and where the next field begins."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = content[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ModelError(f"{path}: not a caffemodel, or a damaged one: a number has no end")


def _text(content: Bytes, place: tuple[int, int], path: Path) -> str:
    start, end = place
    if end - start > 1000:
        raise ModelError(
            f"{path}: not a caffemodel, or a damaged one: a layer's name has {end - start:,} letters"
        )
    try:
        return content[start:end].decode("utf-8")
    except UnicodeDecodeError:
        raise ModelError(f"{path}: not a caffemodel, or a damaged one: a layer's name is no text") from None
