"""Weights files written by hand, byte for byte: no library of theirs is needed."""

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

from kseg.io.formats.checksum import masked_crc32c


class Call:
    """Pickles as a call of a named function with arguments."""

    def __init__(self, module, name, *arguments):
        self.target, self.arguments = (module, name), arguments


class Reference:
    """Pickles as a persistent id."""

    def __init__(self, *identity):
        self.identity = identity


class Name:
    """Pickles as a global."""

    def __init__(self, module, name):
        self.module, self.name = module, name


def pickled(value):
    """Protocol 2 bytes of plain values, `Call`, `Reference` and `Name`."""
    return b"\x80\x02" + _opcodes(value) + b"."


def _opcodes(value):
    if isinstance(value, Call):
        return _opcodes(Name(*value.target)) + _opcodes(value.arguments) + b"R"
    if isinstance(value, Name):
        return f"c{value.module}\n{value.name}\n".encode()
    if isinstance(value, Reference):
        return _opcodes(value.identity) + b"Q"
    if isinstance(value, dict):
        return b"}(" + b"".join(_opcodes(k) + _opcodes(v) for k, v in value.items()) + b"u"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_opcodes, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(_opcodes, value)) + b"e"
    return pickle.dumps(value, 2)[2:-1]  # without the protocol and the end


KINDS = {"f4": "FloatStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "i8": "LongStorage"}


def tensor(array, key, offset=0, shape=None, strides=None, count=None):
    """The call that rebuilds a tensor of an array's numbers; every number of it may be a lie."""
    kind = Name("torch", KINDS[array.dtype.str[1:]])
    storage = Reference("storage", kind, key, "cpu", array.size if count is None else count)
    shape = array.shape if shape is None else shape
    own = tuple(int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim))
    strides = own if strides is None else strides
    return Call("torch._utils", "_rebuild_tensor_v2", storage, offset, shape, strides, False, {})


def zip_checkpoint(tree, storages, members=()):
    """A checkpoint in PyTorch's zip container, of a tree that `pickled` takes and arrays by storage key."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(tree))
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


def stream_checkpoint(tree, storages, keys=None):
    """The same in the older stream of pickles."""
    system = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    heads = (0x1950A86A20F9469CFC6C, 1001, system, tree, list(storages) if keys is None else keys)
    numbers = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in storages.values())
    return b"".join(map(pickled, heads)) + numbers


def state(arrays):
    """Tree and storages of a plain state dict."""
    tree = {key: tensor(array, str(number)) for number, (key, array) in enumerate(arrays.items())}
    return tree, {str(number): array for number, array in enumerate(arrays.values())}


def safetensors(arrays, metadata=None):
    """A safetensors file of float32 arrays, and of uint16 ones as bfloat16."""
    table, position = {"__metadata__": metadata or {}}, 0
    for key, array in arrays.items():
        end = position + array.nbytes
        kind = "BF16" if array.dtype == np.uint16 else "F32"
        table[key] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [position, end]}
        position = end
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(array.tobytes() for array in arrays.values())


def varint(number):
    out = bytearray()
    while True:
        out.append(number & 127 | (128 if number > 127 else 0))
        number >>= 7
        if not number:
            return bytes(out)


def chunk(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data


def blob(array, legacy=False, packed=True):
    """A BlobProto: with `legacy` its four sides as fields of their own, without `packed` one tag a number."""
    data = array.astype("<f4")
    numbers = (
        chunk(5, data.tobytes()) if packed else b"".join(b"\x2d" + one.tobytes() for one in data.ravel())
    )
    if legacy:
        sides = (1,) * (4 - array.ndim) + array.shape
        return b"".join(varint(field << 3) + varint(side) for field, side in enumerate(sides, 1)) + numbers
    return numbers + chunk(7, chunk(1, b"".join(map(varint, array.shape))))


def caffemodel(layers, first_format=False, packed=True):
    """A caffemodel of layers: name -> (type, arrays); `first_format` writes V1 layers with legacy shapes."""
    out = chunk(1, b"net")
    for name, (kind, arrays) in layers.items():
        if first_format:
            number = {"Convolution": 4, "InnerProduct": 14, "Deconvolution": 39}[kind]
            body = chunk(4, name.encode()) + varint(5 << 3) + varint(number)
            body += b"".join(chunk(6, blob(array, True, packed)) for array in arrays)
            out += chunk(2, body)
        else:
            body = chunk(1, name.encode()) + chunk(2, kind.encode())
            out += chunk(100, body + b"".join(chunk(7, blob(array, False, packed)) for array in arrays))
    return out


def frozen_graph(arrays):
    """A frozen TensorFlow graph of constants."""
    out = b""
    for name, array in arrays.items():
        shape = b"".join(chunk(2, varint(1 << 3) + varint(side)) for side in array.shape)
        tensor = varint(1 << 3) + varint(1) + chunk(2, shape) + chunk(4, array.astype("<f4").tobytes())
        attribute = chunk(1, b"value") + chunk(2, chunk(8, tensor))
        out += chunk(1, chunk(1, name.encode()) + chunk(2, b"Const") + chunk(5, attribute))
    return out


def checkpoint_entry(array, offset, dtype=1, shard=0, size=None, shape=None, checksum=None):
    """What a TensorFlow checkpoint's index says of a variable; every number of it may be a lie."""
    sides = b"".join(chunk(2, b"\x08" + varint(side)) for side in (array.shape if shape is None else shape))
    numbers = (0x08, dtype), (0x18, shard), (0x20, offset), (0x28, array.nbytes if size is None else size)
    checksum = masked_crc32c(array.tobytes()) if checksum is None else checksum
    return (
        b"".join(bytes([tag]) + varint(number) for tag, number in numbers)
        + chunk(2, sides)
        + b"\x35"
        + struct.pack("<I", checksum)
    )


def sorted_table(entries, change=bytes, of_a_block=1000):
    """LevelDB's table of keys and values, the content of whose blocks `change` may damage before its checksum."""
    entries, out = list(entries), b""

    def block(some, damage=bytes):
        nonlocal out
        body, last = b"", b""
        for key, value in some:
            alike = [one == other for one, other in zip(key, last, strict=False)]
            shared = [*alike, False].index(False)
            body += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
            last = key
        body = damage(body + struct.pack("<II", 0, 1)) + b"\0"
        handle = varint(len(out)) + varint(len(body) - 1)
        out += body + struct.pack("<I", masked_crc32c(body))
        return last, handle

    parts = [entries[at : at + of_a_block] for at in range(0, max(len(entries), 1), of_a_block)]
    index = [block(part, change) for part in parts]
    handles = block([])[1] + block(index)[1]  # of the block of filters, which is empty, and of the blocks' index
    return out + handles.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def checkpoint_index(entries, change=bytes):
    """The index of a checkpoint of one file."""
    return sorted_table([(b"", b"\x08\x01\x1a\x02\x08\x01"), *sorted(entries.items())], change)


@pytest.fixture
def arrays():
    """Arrays as a small network's."""
    rng = np.random.default_rng(0)
    shapes = {
        "conv.weight": (4, 3, 3, 3),
        "bn.running_var": (4,),
        "score.weight": (2, 4, 1, 1),
        "score.bias": (2,),
    }
    return {key: rng.normal(size=shape).astype("f4") for key, shape in shapes.items()}
