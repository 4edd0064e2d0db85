"""caffemodel: both formats, written field by field from caffe.proto's numbers."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.reading.caffemodel import read_caffemodel
from tests.weights.conftest import blob, caffemodel, chunk, varint

RNG = np.random.default_rng(0)
LAYERS = {
    "conv1": ("Convolution", [RNG.normal(size=(4, 3, 3, 3)).astype("f4"), RNG.normal(size=4).astype("f4")]),
    "fc6": ("InnerProduct", [RNG.normal(size=(5, 16)).astype("f4")]),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "w.caffemodel"


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("first_format", [True, False])
def test_blobs_come_back(path, first_format, packed):
    path.write_bytes(caffemodel(LAYERS, first_format, packed))
    found, meta = read_caffemodel(path)
    assert meta == {"types": {"conv1": "Convolution", "fc6": "InnerProduct"}}
    assert list(found) == ["conv1/0", "conv1/1", "fc6/0"]
    for name, (_, blobs) in LAYERS.items():
        for number, array in enumerate(blobs):
            legacy = (1,) * (4 - array.ndim) + array.shape
            np.testing.assert_array_equal(
                found[f"{name}/{number}"], array.reshape(legacy if first_format else array.shape)
            )


def test_doubles_and_layers_without_blobs(path):
    doubles = np.array([1.5, -2.5])
    one = chunk(8, doubles.tobytes()) + chunk(7, chunk(1, varint(2)))
    data = chunk(100, chunk(1, b"data") + chunk(2, b"Data"))
    path.write_bytes(data + chunk(100, chunk(1, b"x") + chunk(2, b"Scale") + chunk(7, one)))
    found, meta = read_caffemodel(path)
    np.testing.assert_array_equal(found["x/0"], doubles)
    assert meta["types"] == {"x": "Scale"}


def test_the_present_format_counts_where_a_file_has_both(path):
    other = {"conv1": ("Convolution", [np.zeros((4, 3, 3, 3), "f4")])}
    path.write_bytes(caffemodel(other, first_format=True) + caffemodel(LAYERS))
    np.testing.assert_array_equal(read_caffemodel(path)[0]["conv1/0"], LAYERS["conv1"][1][0])


def layer(content):
    return chunk(100, chunk(1, b"x") + chunk(2, b"Convolution") + chunk(7, content))


FOUR = chunk(5, np.zeros(4, "f4").tobytes())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a text",
        b"\n" * 1000,
        chunk(1, b"a net without layers"),
        layer(FOUR + chunk(7, chunk(1, varint(5)))),
        layer(FOUR + chunk(7, chunk(1, varint(1 << 62)))),
        layer(FOUR + chunk(7, chunk(1, varint(0)))),
        layer(FOUR + chunk(7, chunk(1, varint(1) * 40 + varint(4)))),
        layer(chunk(5, b"123") + chunk(7, chunk(1, varint(1)))),
        layer(chunk(7, chunk(1, varint(4)))),
        layer(varint(5 << 3 | 2) + varint(1 << 40)),
        layer(b"\xff" * 20),
        layer(b"\x2d\0\0"),
        layer((chunk(5, b"1234") + varint(1 << 3) + varint(1)) * 5000),
        layer(blob(np.zeros(4))) * 2,
        chunk(100, chunk(1, b"\xff\xfe") + chunk(7, blob(np.zeros(4)))),
        chunk(100, chunk(1, b"x" * 5000) + chunk(7, blob(np.zeros(4)))),
        b"\x03\x04",
    ],
)
def test_files_that_are_none(path, content):
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"w\.caffemodel") as caught:
        read_caffemodel(path)
    assert len(str(caught.value)) < 400


def test_every_beginning_of_a_file_is_read_or_refused(path):
    whole = caffemodel(LAYERS)
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        try:
            found, _ = read_caffemodel(path)
        except ModelError:
            continue
        assert set(found) <= {"conv1/0", "conv1/1", "fc6/0"}
