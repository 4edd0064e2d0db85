"""Which reader a file gets, and what every reader does with thousands of damaged files."""

import io
import json
import os
import struct
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from kseg.errors import KsegError, ModelError
from kseg.weights import read
from tests.weights.conftest import (
    caffemodel,
    chunk,
    frozen_graph,
    safetensors,
    state,
    stream_checkpoint,
    tensor,
    varint,
    zip_checkpoint,
)

# Damaged files a reader; 10,000 are run by hand: KSEG_FUZZ=10000 pytest tests/weights/reading/test_read.py
COUNT, LYING = (int(os.environ.get("KSEG_FUZZ", number)) for number in ("150", "30"))
SPARE = 4 << 20  # what Python itself takes on the side
TOKENS = [
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f",
    b"\xff",
    b"PK\x01\x02",
    b"cos\nsystem\n",
    b"(",
    b"]",
    b"}",
    b"r\xff\xff\xff\x7f",
]


def npz(arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def hdf5(arrays):
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        for key, array in arrays.items():
            content[f"layer/{key}"] = array
    return file.getvalue()


def keras_file(arrays):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional"}))
        archive.writestr("model.weights.h5", hdf5(arrays))
    return file.getvalue()


FORMATS = {
    "zip.pth": lambda arrays: zip_checkpoint(*state(arrays)),
    "stream.pth": lambda arrays: stream_checkpoint(*state(arrays)),
    "w.safetensors": safetensors,
    "w.caffemodel": lambda arrays: caffemodel(
        {key: ("Convolution", [array]) for key, array in arrays.items()}
    ),
    "w.npz": npz,
    "w.h5": hdf5,
    "w.pb": lambda arrays: frozen_graph({f"{key}/weights": array for key, array in arrays.items()}),
    "w.keras": keras_file,
}


@pytest.mark.parametrize("name", FORMATS)
def test_by_content(name, tmp_path, arrays):
    kinds = {
        "zip.pth": "torch",
        "stream.pth": "torch",
        "w.safetensors": "safetensors",
        "w.npz": "npz",
        "w.h5": "hdf5",
        "w.keras": "keras",
    }
    for path in (tmp_path / name, tmp_path / "no_suffix"):
        if path.suffix or name in kinds:
            path.write_bytes(FORMATS[name](arrays))
            found, meta = read(path)
            assert meta["format"] == kinds.get(name, "frozen graph" if path.suffix == ".pb" else "caffemodel")
            assert [array.shape for array in found.values()]
            np.testing.assert_array_equal(
                sorted(a.sum() for a in found.values()), sorted(a.sum() for a in arrays.values())
            )


def test_other_files(tmp_path):
    for content in (b"", b"a text", b"PK\x03\x04 cut", b"\x89PNG\r\n\x1a\n"):
        (tmp_path / "x.dat").write_bytes(content)
        with pytest.raises(ModelError, match=r"x\.dat"):
            read(tmp_path / "x.dat")
    with pytest.raises(ModelError, match="no such"):
        read(tmp_path / "missing.pth")


def test_a_folder_and_an_empty_file_are_said_to_be_that(tmp_path):
    with pytest.raises(ModelError, match="a folder, and not a weights file; and none"):
        read(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"a folder.*model\.safetensors: give one of these"):
        read(tmp_path)
    with pytest.raises(ModelError, match="an empty file"):
        read(tmp_path / "model.safetensors")


def test_part_of_a_file(tmp_path, arrays):
    np.savez(
        tmp_path / "a.npz", **{f"net.backbone.{key}": a for key, a in arrays.items()}, **{"net.x": np.ones(2)}
    )
    found, meta = read(tmp_path / "a.npz", "backbone")
    assert found.keys() == arrays.keys()
    assert meta["set_aside"] == ("x",)
    with pytest.raises(ModelError, match="no part 'head'; its parts are backbone, x"):
        read(tmp_path / "a.npz", "head")


@pytest.mark.parametrize(("text", "config"), [('{"classes": 3}', {"classes": 3}), ("[1]", None), ("{", None)])
def test_the_config_beside_a_file(text, config, tmp_path, arrays):
    (tmp_path / "config.json").write_text(text)
    (tmp_path / "model.safetensors").write_bytes(safetensors(arrays))
    assert read(tmp_path / "model.safetensors")[1].get("config") == config
    np.savez(tmp_path / "a.npz", **arrays)
    assert "config" not in read(tmp_path / "a.npz")[1]  # which nothing writes a config.json beside


def mutated(content, rng):
    """A copy with some bytes changed, cut out, doubled or replaced by what readers stumble over."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 6)):
        at = int(rng.integers(len(data)))
        kind = rng.integers(5)
        if kind == 0:
            data[at] = rng.integers(256)
        elif kind == 1:
            data[at] ^= 1 << rng.integers(8)
        elif kind == 2:
            token = TOKENS[rng.integers(len(TOKENS))]
            data[at : at + len(token)] = token
        elif kind == 3:
            del data[at : at + int(rng.integers(1, 40))]
        else:
            data[at:at] = data[max(0, at - int(rng.integers(1, 40))) : at]
        if not data:
            data = bytearray(b"\0")
    return bytes(data)


def attempt(path):
    """What reading says, how many numbers it gives, and how much memory it takes at most."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    said, size = str(path), 0
    try:
        size = sum(array.size for array in read(path)[0].values())
    except KsegError as error:
        said = str(error)
    return said, size, tracemalloc.get_traced_memory()[1] - before


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_are_read_or_refused_in_a_sentence(name, tmp_path, arrays):
    rng, content, path = np.random.default_rng(0), FORMATS[name](arrays), tmp_path / name
    read_once = 0
    tracemalloc.start()
    for _ in range(COUNT):
        damaged = mutated(content, rng)
        path.write_bytes(damaged)
        said, arrays_read, peak = attempt(path)
        if peak > 10 * len(damaged) + SPARE:  # a module that was imported on the way counts once
            peak = attempt(path)[2]
        assert str(path) in said
        assert len(said) < 2000
        assert peak < 10 * len(damaged) + SPARE
        read_once += arrays_read > 0
    tracemalloc.stop()
    assert read_once  # the loop meets whole files too: damage in the numbers is no damage to the format


def lying_shape(array, rng):
    """A shape of sides that a file may claim: none, some, or more than any memory has."""
    sides = [0, 1, 2, 3, 4, 7, 108, 1 << 20, 1 << 31, 1 << 39, (1 << 62) - 1]
    return (
        tuple(int(side) for side in rng.choice(sides, rng.integers(1, 6))) if rng.integers(2) else array.shape
    )


def lying_number(rng):
    return [0, 1, 5, 107, 108, 1 << 20, 1 << 40, (1 << 63) - 1, -1, -(1 << 40)][rng.integers(10)]


def lying_state(arrays, rng):
    tree, storages = state(arrays)
    for number, (key, array) in enumerate(arrays.items()):
        shape = lying_shape(array, rng)
        lies = {
            "offset": lying_number(rng),
            "shape": shape,
            "strides": tuple(abs(lying_number(rng)) for _ in shape),
            "count": lying_number(rng),
        }
        kept = {name: lie for name, lie in lies.items() if rng.integers(2)}
        tree[key] = tensor(array, str(number), **kept)
    return tree, storages


def lying_safetensors(arrays, rng):
    table = {}
    for key, array in arrays.items():
        start, end = (lying_number(rng) if rng.integers(2) else honest for honest in (0, array.nbytes))
        table[key] = {"dtype": "F32", "shape": list(lying_shape(array, rng)), "data_offsets": [start, end]}
    text = json.dumps(table).encode()
    return struct.pack("<Q", len(text)) + text + bytes(500)


def lying_caffemodel(arrays, rng):
    out = b""
    for key, array in arrays.items():
        sides = b"".join(map(varint, lying_shape(array, rng)))
        blob = chunk(5, array.tobytes() if rng.integers(2) else b"") + chunk(7, chunk(1, sides))
        out += chunk(100, chunk(1, key.encode()) + chunk(2, b"Convolution") + chunk(7, blob))
    return out


def lying_graph(arrays, rng):
    out = b""
    for key, array in arrays.items():
        sides = b"".join(chunk(2, b"\x08" + varint(side)) for side in lying_shape(array, rng))
        numbers = (array.tobytes(), b"", array.tobytes()[:4])[rng.integers(3)]
        content = chunk(1, b"value") + chunk(2, chunk(8, b"\x08\x01" + chunk(2, sides) + chunk(4, numbers)))
        out += chunk(1, chunk(1, f"{key}/weights".encode()) + chunk(2, b"Const") + chunk(5, content))
    return out


def lying_npz(arrays, rng):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for key, array in arrays.items():
            kind = ["<f4", "<f8", "|O", "<U9", "|V0"][rng.integers(5)] if rng.integers(2) else "<f4"
            header = io.BytesIO()
            described = {
                "descr": kind,
                "fortran_order": bool(rng.integers(2)),
                "shape": lying_shape(array, rng),
            }
            np.lib.format.write_array_header_1_0(header, described)
            archive.writestr(f"{key}.npy", header.getvalue() + array.tobytes())
    return file.getvalue()


LIES = {
    "zip.pth": lambda arrays, rng: zip_checkpoint(*lying_state(arrays, rng)),
    "stream.pth": lambda arrays, rng: stream_checkpoint(*lying_state(arrays, rng)),
    "w.safetensors": lying_safetensors,
    "w.caffemodel": lying_caffemodel,
    "w.pb": lying_graph,
    "w.npz": lying_npz,
}


@pytest.mark.parametrize("name", LIES)
def test_files_that_lie_are_read_or_refused_in_a_sentence(name, tmp_path, arrays):
    """Sound files of arrays whose shapes, offsets, strides and sizes are others."""
    rng, path, refused = np.random.default_rng(0), tmp_path / name, 0
    tracemalloc.start()
    for _ in range(LYING):
        some = {key: arrays[key] for key in list(arrays)[: rng.integers(1, 3)]}
        path.write_bytes(LIES[name](some, rng))
        said, numbers, peak = attempt(path)
        assert str(path) in said
        assert len(said) < 2000
        if peak > 10 * path.stat().st_size + SPARE:  # a module that was imported on the way counts once
            peak = attempt(path)[2]
        assert peak < 10 * path.stat().st_size + SPARE
        refused += numbers == 0
    tracemalloc.stop()
    assert refused


def test_a_member_whose_name_is_the_rest_of_the_archive(tmp_path):
    """zipfile's own message quotes all of it; found among 10,000 damaged files."""
    large = {"conv": np.random.default_rng(0).normal(size=5000).astype("f4")}
    content = bytearray(keras_file(large))
    at = content.rindex(b"PK\x03\x04")
    content[at + 26 : at + 28] = (9000).to_bytes(2, "little")
    (tmp_path / "w.keras").write_bytes(content)
    with pytest.raises(ModelError, match="not a readable Keras model file") as told:
        read(tmp_path / "w.keras")
    assert len(str(told.value)) < 1000
