"""NumPy's arrays and numbers in a pickle, such as a palette in a checkpoint's notes. NumPy's own code is not called."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

_CODE = re.compile(r"[<>|=]?([buif][1248]|U[0-9]{1,3})")
_LARGEST = 1 << 16  # bytes; notes have no larger arrays that kseg asks for


class NumpyType:
    """A kind of number, whose byte order the pickle tells afterwards."""

    def __init__(self, code: Any = None, *_: Any) -> None:
        self.code = code if isinstance(code, str) and _CODE.fullmatch(code) else None

    def fill(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">" and self.code:
            self.code = ">" + self.code.lstrip("<>|=")


class NumpyArray:
    """An array: an empty one, which the pickle fills afterwards.

    Attributes:
        values: its values as (lists of) Python's own, or None.
    """

    def __init__(self, *_: Any) -> None:
        self.values: Any = None

    def fill(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            return
        _, shape, kind, by_columns, data = state
        sound = isinstance(shape, tuple) and all(type(side) is int and 0 <= side < _LARGEST for side in shape)
        if sound and len(shape) <= 3 and by_columns in (True, False, 0, 1):
            self.values = _values(kind, data, shape, "F" if by_columns else "C")


def _values(kind: Any, data: Any, shape: tuple[int, ...], order: Any = "C") -> Any:
    if (
        not isinstance(kind, NumpyType)
        or kind.code is None
        or not isinstance(data, bytes)
        or len(data) > _LARGEST
    ):
        return None
    try:
        return np.frombuffer(data, kind.code).reshape(shape, order=order).tolist()
    except (ValueError, UnicodeError):  # a size that is not its bytes'
        return None


def encode(text: Any = "", code: Any = "latin1", *_: Any) -> bytes:
    """Bytes, which the older protocols write as text."""
    try:
        return text.encode("latin1") if isinstance(text, str) and code == "latin1" else b""
    except UnicodeError:
        return b""


def plain(value: Any) -> Any:
    """A value whose arrays are lists; lists and tuples of arrays too."""
    if isinstance(value, NumpyArray):
        return value.values
    return type(value)(map(plain, value)) if type(value) in (list, tuple) and len(value) < _LARGEST else value


CALLS: dict[str, Callable[..., Any]] = {"numpy.dtype": NumpyType, "_codecs.encode": encode}
for _home in ("numpy.core.multiarray", "numpy._core.multiarray"):
    CALLS[f"{_home}._reconstruct"] = NumpyArray
    CALLS[f"{_home}.scalar"] = lambda kind=None, data=None, *_: _values(kind, data, ())
