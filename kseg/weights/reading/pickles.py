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

    def top(self) -> Any:
        return self.stack[-1]

    def push(self, value: Any) -> None:
        self.stack.append(value)

    # What the opcodes do; each takes its opcode's argument, if only to leave it.

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def drop(self, _: Any) -> None:
        if self.marks and len(self.stack) == self.marks[-1]:
            self.marks.pop()
        else:
            self.stack.pop()

    def make_dict(self, _: Any) -> None:
        items, made = self.since_mark(), {}
        set_items(made, items)
        self.push(made)

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        set_items(self.top(), [key, value])

    def set_marked_items(self, _: Any) -> None:
        items = self.since_mark()
        set_items(self.top(), items)

    def append(self, _: Any) -> None:
        item = self.pop()
        extend(self.top(), [item])

    def append_marked(self, _: Any) -> None:
        items = self.since_mark()
        extend(self.top(), items)

    def make_tuple(self, count: int) -> None:
        self.push(tuple(reversed([self.pop() for _ in range(count)])))

    def reduce(self, _: Any) -> None:
        arguments, function = self.pop(), self.pop()
        self.push(self.call(function, arguments))

    def new_with_keywords(self, _: Any) -> None:
        self.pop()
        self.reduce(None)

    def build(self, _: Any) -> None:
        state = self.pop()
        fill = getattr(self.top(), "fill", None)  # of what `calls` made; all else stays as it is
        if fill is not None:
            fill(state)

    def make_object(self, _: Any) -> None:
        items = self.since_mark()
        self.push(self.call(items[0], tuple(items[1:])))

    def make_instance(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        arguments = tuple(self.since_mark())
        self.push(self.call(self.global_(module, name), arguments))

    def push_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self.push(self.global_(module, name))

    def remember(self, index: int) -> None:
        self.memo[index] = self.top()


def set_items(target: Any, items: list[Any]) -> None:
    """Keys and values in turn, into a dict; anything else is left as it is."""
    if len(items) % 2:
        raise ValueError("a key without a value")
    if isinstance(target, dict):
        for key, value in zip(items[::2], items[1::2], strict=True):
            # texts have random hashes; numbers could be made to collide by the million, up to here they cannot
            if isinstance(key, str) or (type(key) is int and abs(key) < 1 << 32):
                target[key] = value


def extend(target: Any, items: list[Any]) -> None:
    """Items, into a list; anything else is left as it is."""
    if isinstance(target, list):
        target.extend(items)


_CONSTANTS = {
    *("NONE", "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
    *("BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda m, _: None),
    "NEWTRUE": lambda m, _: m.push(True),
    "NEWFALSE": lambda m, _: m.push(False),
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": lambda m, _: m.since_mark() and None,
    "DUP": lambda m, _: m.push(m.top()),
    "EMPTY_TUPLE": lambda m, _: m.push(()),
    "TUPLE1": lambda m, _: m.make_tuple(1),
    "TUPLE2": lambda m, _: m.make_tuple(2),
    "TUPLE3": lambda m, _: m.make_tuple(3),
    "TUPLE": lambda m, _: m.push(tuple(m.since_mark())),
    "EMPTY_LIST": lambda m, _: m.push([]),
    "LIST": lambda m, _: m.push(m.since_mark()),
    "APPEND": _Machine.append,
    "APPENDS": _Machine.append_marked,
    "EMPTY_DICT": lambda m, _: m.push({}),
    "DICT": _Machine.make_dict,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_marked_items,
    "EMPTY_SET": lambda m, _: m.push([]),
    "ADDITEMS": _Machine.append_marked,
    "FROZENSET": lambda m, _: m.push(m.since_mark()),
    "GLOBAL": lambda m, argument: m.push(m.global_(*argument.split(" ", 1))),
    "STACK_GLOBAL": _Machine.push_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "OBJ": _Machine.make_object,
    "INST": _Machine.make_instance,
    "BUILD": _Machine.build,
    "BINPERSID": lambda m, _: m.push(m.persistent(m.pop())),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember),
    "MEMOIZE": lambda m, _: m.remember(len(m.memo)),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, index: m.push(m.memo[index])),
}
