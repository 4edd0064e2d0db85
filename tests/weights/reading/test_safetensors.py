"""safetensors: written by hand and by its own library; and tables that lie."""

import json
import struct

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.reading.safetensors import read_safetensors
from tests.weights.conftest import safetensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.safetensors"


def refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.safetensors"):
        read_safetensors(path)


def table(entries, data=b"\0" * 16):
    text = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_arrays_and_texts_come_back(path, arrays):
    path.write_bytes(safetensors(arrays, {"format": "pt"}))
    found, meta = read_safetensors(path)
    assert meta == {"metadata": {"format": "pt"}}
    assert list(found) == list(arrays)
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)


def test_bfloat16_is_the_upper_half_of_float32(path):
    values = np.array([1, -2.5, 3e38, 1e-38, 0], "f4")
    upper = (values.view("u4") >> 16).astype("u2")
    path.write_bytes(safetensors({"w": upper}))
    found, _ = read_safetensors(path)
    assert found["w"].dtype == np.float32
    np.testing.assert_array_equal(found["w"], (upper.astype("u4") << 16).view("f4"))


def test_scalars_and_empty_arrays(path):
    entries = {
        "scalar": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
        "empty": {"dtype": "F32", "shape": [0, 5], "data_offsets": [8, 8]},
    }
    path.write_bytes(table(entries, struct.pack("<q", 7)))
    found, _ = read_safetensors(path)
    assert found["scalar"] == 7
    assert found["empty"].shape == (0, 5)


ENTRY = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [5]},
        {"shape": [1 << 60]},
        {"shape": [-4]},
        {"shape": [2.0, 2]},
        {"shape": "4"},
        {"shape": [4, 0]},
        {"data_offsets": [0, 1 << 50]},
        {"data_offsets": [16, 0]},
        {"data_offsets": [0]},
        {"dtype": "F128"},
        {"dtype": None},
    ],
)
def test_entries_that_lie(path, change):
    refused(path, table({"w": {**ENTRY, **change}}))


def test_overlaps_gaps_and_more(path):
    refused(path, table({"a": ENTRY, "b": ENTRY}))
    refused(path, table({"a": {"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}}))
    refused(path, table({"a": ENTRY}, b"\0" * 20))
    refused(path, table({"a": ENTRY}, b"\0" * 12))
    refused(path, table(b'{"a": 1, "a": 2}'))
    refused(path, table(b'{"a":' + b"[" * 100_000))
    refused(path, table(b'{"a": ' + b"9" * 10_000 + b"}"))
    refused(path, table({"w": {**ENTRY, "shape": [0, 1 << 39, 1 << 39], "data_offsets": [0, 0]}}, b""))
    refused(path, table(b"[]"))
    refused(path, struct.pack("<Q", 1 << 63) + b"{}")
    refused(path, table(b'{"a":[' + b"[]," * 600_000 + b"1]}"))
    refused(path, b"")
    refused(path, b"\2" + b"\0" * 7 + b"{")


@pytest.mark.parity
def test_what_the_library_writes(path):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("safetensors.torch")
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5).bfloat16(), "c": torch.tensor([True, False])}
    library.save_file(tensors, path, {"format": "pt"})
    found, _ = read_safetensors(path)
    assert sorted(found) == sorted(tensors)
    for key, value in tensors.items():
        np.testing.assert_array_equal(found[key], value.float() if key == "b" else value)
