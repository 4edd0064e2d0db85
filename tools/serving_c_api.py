"""Run a SavedModel through TensorFlow's C library alone, as a server written in C++ does.

    python tools/serving_c_api.py served/x/1 image.jpg [image.png ...] --out masks

This process never imports TensorFlow's Python: it opens the libraries inside the installed package with ctypes,
loads the SavedModel with `TF_LoadSessionFromSavedModel` (the loader of TensorFlow Serving) and asks the signature
`encoded` for each image. One line an image: its name, the mask's size, and the classes found. With --out the
masks are written as 8-bit PNG files of class ids. Exit code 1 where an image is refused, 2 where the model is.
"""

import argparse
import ctypes
import importlib.util
import sys
from collections.abc import Iterator
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path

import numpy as np

STRING = 7  # the numbers of types.proto
DTYPES = {1: np.float32, 3: np.int32, 4: np.uint8, 9: np.int64}
STRING_BYTES = 24  # sizeof(TF_TString)


CODES = (  # status codes by number, absl/status/status.h
    "OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED "
    "RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS"
)


class Refused(Exception):
    """An error status of the C library: its code by name, such as INVALID_ARGUMENT, and its message."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code = CODES.split()[code]


class _Output(ctypes.Structure):
    _fields_ = (("operation", c_void_p), ("index", c_int))


class _Buffer(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("length", c_size_t), ("deallocator", c_void_p))


def library() -> ctypes.CDLL:
    """The C library inside the installed tensorflow package, which is found but not imported."""
    folder = Path(importlib.util.find_spec("tensorflow").origin).parent
    for name in ("libtensorflow_framework.so.2", "libtensorflow_cc.so.2"):
        loaded = ctypes.CDLL(str(folder / name), mode=ctypes.RTLD_GLOBAL)
    pointers = (
        "TF_NewStatus TF_NewGraph TF_NewSessionOptions TF_NewBuffer TF_LoadSessionFromSavedModel TF_TensorData "
        "TF_AllocateTensor TF_GraphOperationByName TF_StringGetDataPointer"
    )
    for name in pointers.split():
        getattr(loaded, name).restype = c_void_p
    loaded.TF_Message.restype = c_char_p
    loaded.TF_Dim.restype = c_int64
    loaded.TF_TensorByteSize.restype = loaded.TF_StringGetSize.restype = c_size_t
    return loaded


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(number, value) of each field of a serialised protocol buffer message."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = data[place]
            place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while place < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        length = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, data[place : place + length]
        place += length


def _map(data: bytes, number: int) -> dict[str, bytes]:
    """A map<string, message> field: serialised messages by key."""
    entries = [dict(fields(value)) for field, value in fields(data) if field == number]
    return {entry[1].decode(): entry.get(2, b"") for entry in entries}


class SavedModel:
    """A version's folder, loaded by TensorFlow's C library.

    Args:
        folder: the SavedModel.

    ``signatures`` are the names; ``run(signature, **inputs)`` gives a dict of NumPy arrays. An array of uint8,
    float32, int32 or int64 goes in, or a list of bytes.

    Raises:
        Refused: what the C library answers with an error.
    """

    def __init__(self, folder: str | Path):
        self._c = library()
        status = c_void_p(self._c.TF_NewStatus())
        self._graph = c_void_p(self._c.TF_NewGraph())
        buffer = self._c.TF_NewBuffer()
        options, tags = c_void_p(self._c.TF_NewSessionOptions()), (c_char_p * 1)(b"serve")
        session = self._c.TF_LoadSessionFromSavedModel(
            options, None, str(folder).encode(), tags, 1, self._graph, c_void_p(buffer), status
        )
        self._check(status)
        self._session = c_void_p(session)
        meta = ctypes.cast(buffer, POINTER(_Buffer)).contents
        definitions = _map(ctypes.string_at(meta.data, meta.length), 5)  # MetaGraphDef.signature_def
        self._ends = {name: (_map(text, 1), _map(text, 2)) for name, text in definitions.items()}

    @property
    def signatures(self) -> list[str]:
        return sorted(name for name in self._ends if not name.startswith("__"))

    def run(self, signature: str, **inputs: np.ndarray | list[bytes]) -> dict[str, np.ndarray | list[bytes]]:
        if signature not in self._ends:
            raise Refused(3, f"no signature {signature!r}; it has {', '.join(self.signatures)}")
        takes, gives = self._ends[signature]
        if set(inputs) != set(takes):
            raise Refused(3, f"the signature {signature} takes {sorted(takes)}, got {sorted(inputs)}")
        feeds = (_Output * len(inputs))(*(self._end(takes[name]) for name in inputs))
        values = (c_void_p * len(inputs))(*(self._tensor(value) for value in inputs.values()))
        status = c_void_p(self._c.TF_NewStatus())  # one a call: threads may call at the same time
        fetches, found = (_Output * len(gives))(*map(self._end, gives.values())), (c_void_p * len(gives))()
        self._c.TF_SessionRun(
            self._session,
            None,
            feeds,
            values,
            len(inputs),
            fetches,
            found,
            len(gives),
            None,
            0,
            None,
            status,
        )
        for tensor in values:
            self._c.TF_DeleteTensor(c_void_p(tensor))
        self._check(status)
        return {name: self._array(c_void_p(tensor)) for name, tensor in zip(gives, found, strict=True)}

    def _check(self, status: c_void_p) -> None:
        code, said = self._c.TF_GetCode(status), self._c.TF_Message(status)
        self._c.TF_DeleteStatus(status)
        if code:
            raise Refused(code, said.decode(errors="replace"))

    def _end(self, tensor_info: bytes) -> _Output:
        """A tensor of the graph by the name in its TensorInfo, `operation:index`."""
        name, _, index = dict(fields(tensor_info))[1].decode().partition(":")
        operation = self._c.TF_GraphOperationByName(self._graph, name.encode())
        return _Output(operation, int(index or 0))

    def _tensor(self, value: np.ndarray | list[bytes]) -> int:
        strings = isinstance(value, list)
        array = None if strings else np.ascontiguousarray(value)
        shape = (len(value),) if strings else array.shape
        kind = STRING if strings else next((k for k, dtype in DTYPES.items() if dtype == array.dtype), None)
        if kind is None:
            raise Refused(3, f"no signature of kseg takes {array.dtype}; images are uint8 or float32")
        size = STRING_BYTES * len(value) if strings else array.nbytes
        tensor = self._c.TF_AllocateTensor(kind, (c_int64 * len(shape))(*shape), len(shape), c_size_t(size))
        data = self._c.TF_TensorData(c_void_p(tensor))
        if not strings:
            ctypes.memmove(data, array.ctypes.data, size)
        for number, text in enumerate(value if strings else ()):
            place = c_void_p(data + STRING_BYTES * number)
            self._c.TF_StringInit(place)
            self._c.TF_StringCopy(place, c_char_p(text), c_size_t(len(text)))
        return tensor

    def _array(self, tensor: c_void_p) -> np.ndarray | list[bytes]:
        shape = [self._c.TF_Dim(tensor, axis) for axis in range(self._c.TF_NumDims(tensor))]
        data, kind = self._c.TF_TensorData(tensor), self._c.TF_TensorType(tensor)
        if kind == STRING:
            found = [self._string(data + STRING_BYTES * number) for number in range(int(np.prod(shape)))]
        else:
            raw = ctypes.string_at(data, self._c.TF_TensorByteSize(tensor))
            found = np.frombuffer(raw, DTYPES[kind]).reshape(shape)
        self._c.TF_DeleteTensor(tensor)
        return found

    def _string(self, place: int) -> bytes:
        pointer, size = c_void_p(place), self._c.TF_StringGetSize(c_void_p(place))
        return ctypes.string_at(self._c.TF_StringGetDataPointer(pointer), size)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", help="the version's folder, such as served/x/1")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the masks there")
    args = parser.parse_args(argv)
    try:
        model, code = SavedModel(args.folder), 0
    except Refused as error:
        parser.error(f"{args.folder}: {error.code}: {str(error).splitlines()[0]}")
    for image in args.images:
        try:
            found = model.run("encoded", image_bytes=[image.read_bytes()])
        except OSError as error:
            print(f"{image}: {error.strerror}", file=sys.stderr)
            code = 1
            continue
        except Refused as error:
            print(f"{image}: {error.code}: {str(error).splitlines()[0]}", file=sys.stderr)
            code = 1
            continue
        mask = found["mask"][0]
        print(f"{image}  {mask.shape[0]}x{mask.shape[1]}  classes {np.unique(mask).tolist()}")
        if args.out is not None:
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / f"{image.stem}.png").write_bytes(found["mask_bytes"][0])
    return code


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
