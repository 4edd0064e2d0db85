"""`read_caffemodel`: the blobs of a Caffe network, read field by field from its protocol buffer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError
from kseg.weights.reading.protobuf import CHUNK, FIXED32, FIXED64, VARINT, Message
from kseg.weights.reading.views import MAX_ARRAYS, check_total, mapped

# NetParameter: field number of its layers -> field numbers of a layer's name, type and blobs. The first is that of
# Caffe's first format (V1), whose types are numbers.
_LAYERS = {2: (4, 5, 6), 100: (1, 2, 7)}
_FIRST_TYPES = {4: "Convolution", 14: "InnerProduct", 39: "Deconvolution"}
# BlobProto's fields.
_SIDES, _DATA, _SHAPE, _DOUBLES = (1, 2, 3, 4), 5, 7, 8
_MAX_PIECES = 1 << 12


def read_caffemodel(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The blobs of a `.caffemodel` file, in Caffe's first (V1) or present format, as views of the mapped file.

    Returns:
        Arrays by "<layer>/<number of the blob>", in Caffe's axes, and `meta`: "types" (layer -> type).

    Raises:
        ModelError: not such a file, a damaged one, or a blob whose shape and numbers disagree.
    """
    with mapped(path) as content:
        whole = Message(content, 0, len(content), f"{path}: not a caffemodel, or a damaged one")
        arrays: dict[str, np.ndarray] = {}
        types: dict[str, str] = {}
        # Where a file has both formats, the present one counts.
        for version in (100, 2):
            for _, wire, layer in whole.fields(version):
                if wire != CHUNK:
                    continue
                name, kind, blobs = _layer(layer, version)
                if not blobs:
                    continue
                if f"{name}/0" in arrays:
                    raise ModelError(
                        f"{path}: has two layers called {name[:60]!r}; which one is meant is not clear"
                    )
                if len(arrays) + len(blobs) > MAX_ARRAYS:
                    raise ModelError(
                        f"{path}: has more than {MAX_ARRAYS:,} blobs, which no network has; nothing was loaded"
                    )
                types[name] = kind
                for number, blob in enumerate(blobs):
                    arrays[f"{name}/{number}"] = _blob(blob, f"{path}: blob {number} of {name[:60]!r}")
            if arrays:
                break
        if not arrays:
            raise ModelError(f"{path}: not a caffemodel: it has no layers with blobs")
        check_total(arrays.values(), len(content), path)
    return arrays, {"types": types}


def _layer(layer: Message, version: int) -> tuple[str, str, list[Message]]:
    """A layer's name, type and blobs."""
    name_field, type_field, blob_field = _LAYERS[version]
    name, kind, blobs = "", "", []
    for field, wire, value in layer.fields(*_LAYERS[version]):
        if field == name_field and wire == CHUNK:
            name = value.text()
        elif field == type_field and wire in (VARINT, CHUNK):
            kind = _FIRST_TYPES.get(value, str(value)) if wire == VARINT else value.text()
        elif field == blob_field and wire == CHUNK:
            blobs.append(value)
    return name, kind, blobs


def _blob(blob: Message, what: str) -> np.ndarray:
    sides, shape, parts = {}, None, []
    for field, wire, value in blob.fields(*_SIDES, _DATA, _SHAPE, _DOUBLES):
        if field in _SIDES and wire == VARINT:
            sides[field] = value
        elif field == _SHAPE and wire == CHUNK:
            shape = []
            for _, kind, side in value.fields(1):
                shape += [side] if kind == VARINT else side.varints(32) if kind == CHUNK else []
                if len(shape) > 16:
                    break
        elif field in (_DATA, _DOUBLES) and wire in (CHUNK, FIXED32, FIXED64):
            parts.append(value.numbers("<f4" if field == _DATA else "<f8", tagged=wire != CHUNK))
            if len(parts) > _MAX_PIECES:
                raise ModelError(f"{what} is cut into too many pieces; nothing was loaded")
    if shape is None:
        shape = [sides.get(field, 1) for field in _SIDES] if sides else []
    numbers = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, "f4")
    if len(shape) > 16 or not numbers.size or math.prod(shape) != numbers.size:
        raise ModelError(
            f"{what} has the shape {tuple(shape[:16])} and {numbers.size:,} numbers; nothing was loaded"
        )
    return numbers.reshape(shape)
