"""`read_safetensors`: a length, a JSON table of tensors, and their numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError
from kseg.weights.reading.views import BFLOAT16, as_numpy, check_total, mapped, without_numbers

_KINDS = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
# A table is a few percent of a file of weights. As Python objects it takes up to twenty times its size.
_SMALL_TABLE, _SHARE = 1 << 20, 10
_ADVICE = "nothing was loaded; download the file again from a source you trust"


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a `.safetensors` file, as views of the mapped file; bfloat16 becomes float32.

    Returns:
        Arrays by key, and `meta`: "metadata" (the texts that the file carries).

    Raises:
        ModelError: not such a file, a table that is damaged, or tensors that overlap or do not fill the file.
    """
    with mapped(path) as content:
        length = int.from_bytes(content[:8], "little")
        if len(content) < 10 or content[8:9] != b"{" or length > len(content) - 8:
            raise ModelError(f"{path}: not a safetensors file")
        if length > max(_SMALL_TABLE, len(content) // _SHARE):
            raise ModelError(f"{path}: its table of {length:,} bytes is larger than weights need; {_ADVICE}")
        table = _table(bytes(content[8 : 8 + length]), path)
        notes = table.pop("__metadata__", {})
        places = {key: _place(entry, f"{path}: {key[:80]}") for key, entry in table.items()}
        size, position = len(content) - 8 - length, 0
        for start, end in sorted((start, end) for _, _, start, end in places.values()):
            if start != position or end < start:
                raise ModelError(f"{path}: its tensors overlap or leave gaps; {_ADVICE}")
            position = end
        if position != size:
            raise ModelError(f"{path}: its tensors have {position:,} bytes and the file {size:,}; {_ADVICE}")
        arrays = {
            key: np.frombuffer(content, dtype, math.prod(shape), 8 + length + start).reshape(shape)
            if end > start
            else without_numbers(shape, dtype, f"{path}: {key[:80]}")
            for key, (dtype, shape, start, end) in places.items()
        }
        check_total(arrays.values(), len(content), path)
    texts = {k: v for k, v in notes.items() if isinstance(v, str)} if isinstance(notes, dict) else {}
    return {key: as_numpy(array) for key, array in arrays.items()}, {"metadata": texts}


def _table(text: bytes, path: Path) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key comes twice")
        return dict(pairs)

    try:
        table = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its table cannot be read ({str(error)[:100]}); {_ADVICE}") from None
    if not isinstance(table, dict):
        raise ModelError(f"{path}: its table is not a JSON object; {_ADVICE}")
    return table


def _place(entry: Any, what: str) -> tuple[np.dtype, tuple[int, ...], int, int]:
    """The dtype, shape, first and last byte of a tensor, which have to agree."""
    entry = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    known = _KINDS.get(dtype) if isinstance(dtype, str) else None
    if known is None:
        raise ModelError(f"{what} holds {str(dtype)[:20]}; expected one of {', '.join(_KINDS)}")
    sizes = isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2 and len(shape) <= 16
    if not sizes or not all(type(v) is int and 0 <= v < 1 << 40 for v in (*shape, *offsets)):
        raise ModelError(f"{what} has no sound shape or offsets; {_ADVICE}")
    if math.prod(shape) * known.itemsize != offsets[1] - offsets[0]:
        raise ModelError(f"{what} claims the shape {shape} and {offsets[1] - offsets[0]:,} bytes; {_ADVICE}")
    return known, tuple(shape), *offsets
