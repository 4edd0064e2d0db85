"""`load_pickle`: what a pickle says, without doing any of it."""

from __future__ import annotations

import pickletools
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from mmap import mmap
from typing import Any, BinaryIO

from kseg.errors import ModelError

# What reading damaged pickles raises, in pickletools and here.
DAMAGED = (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, struct.error)
# Bytes that an object on the stack or in the memo takes at most, beside its own text.
_PER_OBJECT = 120
_SMALL = 32 << 20
# Names of Python's own library that checkpoints hold besides plain values. All others of it do something.
_PATHS = {"Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath"}
_HARMLESS = {
    "_codecs": {"encode"},
    "argparse": {"Namespace"},
    "builtins": {
        *("bytearray", "complex", "dict", "float", "frozenset", "int"),
        *("list", "object", "set", "slice", "str"),
    },
    "collections": {"Counter", "OrderedDict", "defaultdict", "deque"},
    "copyreg": {"_reconstructor"},
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "functools": {"partial"},
    "logging": {"getLogger"},
    "pathlib": _PATHS,
    "pathlib._local": _PATHS,
    "re": {"_compile"},
    "types": {"SimpleNamespace"},
    "uuid": {"UUID"},
}
_RENAMED = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # Python 2's


@dataclass(frozen=True)
class Named:
    """A class or function that a pickle names. It is never imported."""

    name: str


@dataclass(frozen=True)
class Inert:
    """What a call in a pickle stands for: the name that would have been called, and nothing of the result."""

    name: str


def load_pickle(
    stream: BinaryIO | mmap,
    calls: dict[str, Callable[..., Any]],
    persistent: Callable[[Any], Any],
    budget: int,
    what: str,
) -> Any:
    """Read one pickle from a stream, up to its end mark. Nothing that it names is imported or called.

    Python's own unpickler calls what a pickle asks for, and takes memory for indices that a pickle makes up; this one
    walks through `pickletools.genops` and knows plain values only.

    Args:
        stream: with `read`, `readline` and `tell`, such as an `mmap` or `io.BytesIO`.
        calls: what to do instead of a call, by dotted name. Every other call gives an `Inert` object.
        persistent: what a persistent id stands for.
        budget: size of the file in bytes; the objects of its pickles may take eight times as much memory.
        what: the file, for messages.

    Returns:
        Dicts (keys that are neither text nor whole numbers are left out), lists, tuples, texts, numbers, and what
        `calls` and `persistent` return.

    Raises:
        ModelError: a damaged pickle, one that names something of Python's library that could run code, or one
            whose objects take more memory than the file warrants.
    """
    machine = _Machine(calls, persistent, max(_SMALL, 8 * budget), what)
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            machine.step(opcode.name, argument)
        return machine.result()
    except DAMAGED as error:
        reason = str(error)[:100]
        raise ModelError(f"{what}: not a readable checkpoint: its pickle is damaged ({reason})") from None
    except (RecursionError, MemoryError):
        raise ModelError(f"{what}: not a readable checkpoint: its pickle asks for too much memory") from None


class _Machine:
    """The pickle's stack machine: a stack, marks on it, and a memo."""

    def __init__(
        self,
        calls: dict[str, Callable[..., Any]],
        persistent: Callable[[Any], Any],
        budget: int,
        what: str,
    ) -> None:
        self.calls, self.persistent, self.left, self.what = calls, persistent, budget, what
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        self.left -= _PER_OBJECT
        if isinstance(argument, (str, bytes, bytearray)):
            self.left -= 4 * len(argument)
        elif isinstance(argument, int):
            self.left -= argument.bit_length() // 8
        if self.left < 0:
            raise ModelError(
                f"{self.what}: its pickle would fill the memory with objects; nothing was loaded"
            )
        if name in _CONSTANTS:
            self.stack.append(argument)
        else:
            action = _ACTIONS.get(name)
            if action is None:
                raise ValueError(f"{name} has no place in a checkpoint")
            action(self, argument)

    def result(self) -> Any:
        if len(self.stack) != 1:
            raise ValueError("it ends in the middle")
        return self.stack[0]

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def pop(self) -> Any:
        if self.marks and len(self.stack) <= self.marks[-1]:
            raise ValueError("its stack is empty")
        return self.stack.pop()

    def global_(self, module: Any, name: Any) -> Named:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is not text")
        module = _RENAMED.get(module, module)
        root = module.partition(".")[0]
        own = root in sys.stdlib_module_names or root in ("nt", "ntpath")
        if own and name not in _HARMLESS.get(module, ()):
            raise ModelError(
                f"{self.what}: its pickle names {module[:60]}.{name[:60]}, which could run code; nothing of it was "
                "loaded or run: download the file again from a source you trust"
            )
        return Named(f"{module}.{name}")

    def call(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            return Inert(getattr(function, "name", type(function).__name__))
        known = self.calls.get(function.name)
        return Inert(function.name) if known is None else known(*arguments)

    def set_items(self, target: Any, items: list[Any]) -> None:
        if len(items) % 2:
            raise ValueError("a key without a value")
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                # texts have random hashes; numbers could be made to collide by the million, up to here they cannot
                if isinstance(key, str) or (type(key) is int and abs(key) < 1 << 32):
                    target[key] = value

    def extend(self, target: Any, items: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(items)


def _peek(m: _Machine) -> Any:
    return m.stack[-1]


def _mark(m: _Machine, _: Any) -> None:
    m.marks.append(len(m.stack))


def _pop(m: _Machine, _: Any) -> None:
    if m.marks and len(m.stack) == m.marks[-1]:
        m.marks.pop()
    else:
        m.stack.pop()


def _dict(m: _Machine, _: Any) -> None:
    items, made = m.since_mark(), {}
    m.set_items(made, items)
    m.stack.append(made)


def _set_item(m: _Machine, _: Any) -> None:
    value, key = m.pop(), m.pop()
    m.set_items(_peek(m), [key, value])


def _set_items(m: _Machine, _: Any) -> None:
    items = m.since_mark()
    m.set_items(_peek(m), items)


def _append(m: _Machine, _: Any) -> None:
    item = m.pop()
    m.extend(_peek(m), [item])


def _appends(m: _Machine, _: Any) -> None:
    items = m.since_mark()
    m.extend(_peek(m), items)


def _reduce(m: _Machine, _: Any) -> None:
    arguments, function = m.pop(), m.pop()
    m.stack.append(m.call(function, arguments))


def _new_with_keywords(m: _Machine, _: Any) -> None:
    m.pop()
    _reduce(m, _)


def _object(m: _Machine, _: Any) -> None:
    items = m.since_mark()
    m.stack.append(m.call(items[0], tuple(items[1:])))


def _instance(m: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    arguments = tuple(m.since_mark())
    m.stack.append(m.call(m.global_(module, name), arguments))


def _stack_global(m: _Machine, _: Any) -> None:
    name, module = m.pop(), m.pop()
    m.stack.append(m.global_(module, name))


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def make(m: _Machine, _: Any) -> None:
        items = [m.pop() for _ in range(count)]
        m.stack.append(tuple(reversed(items)))

    return make


def _put(m: _Machine, index: int) -> None:
    m.memo[index] = _peek(m)


_CONSTANTS = {
    *("NONE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
    *("BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": lambda m, _: m.since_mark() and None,
    "DUP": lambda m, _: m.stack.append(_peek(m)),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": lambda m, _: m.stack.append(tuple(m.since_mark())),
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "LIST": lambda m, _: m.stack.append(m.since_mark()),
    "APPEND": _append,
    "APPENDS": _appends,
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "DICT": _dict,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "EMPTY_SET": lambda m, _: m.stack.append([]),
    "ADDITEMS": _appends,
    "FROZENSET": lambda m, _: m.stack.append(m.since_mark()),
    "GLOBAL": lambda m, argument: m.stack.append(m.global_(*argument.split(" ", 1))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_keywords,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": lambda m, _: m.pop() and None,
    "BINPERSID": lambda m, _: m.stack.append(m.persistent(m.pop())),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    "MEMOIZE": lambda m, _: _put(m, len(m.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, index: m.stack.append(m.memo[index])),
}
