"""MAT files written here byte by byte after The MathWorks' description, and by SciPy."""

import struct
import zlib

import numpy as np
import pytest

from kseg.data import read_mask
from kseg.errors import DataError
from kseg.io.formats.mat_mask import read_mat_mask

CELL, STRUCT, UINT8 = 1, 2, 9
LIMIT = 10_000


def element(kind, content, order="<"):
    if len(content) <= 4 and order == "<":  # the small format
        return struct.pack("<HH", kind, len(content)) + content.ljust(4, b"\0")
    return struct.pack(order + "II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def matrix(name, kind, shape, *rest, order="<"):
    flags = element(6, struct.pack(order + "II", kind, 0), order)
    return element(
        14,
        b"".join(
            [flags, element(5, struct.pack(order + "ii", *shape), order), element(1, name, order), *rest]
        ),
        order,
    )


def numbers(values, order="<"):
    return matrix(b"", UINT8, values.shape, element(2, values.tobytes(order="F"), order), order=order)


def mat_file(values, compressed=False, order="<", name=b"GTcls", field=b"Segmentation"):
    """As SBD: GTcls with the fields Boundaries (a cell), Segmentation and CategoriesPresent."""
    cells = matrix(
        b"", CELL, (2, 1), *(numbers(np.zeros((3, 2), np.uint8), order) for _ in range(2)), order=order
    )
    names = b"".join(part.ljust(32, b"\0") for part in (b"Boundaries", field, b"CategoriesPresent"))
    parts = [
        element(5, struct.pack(order + "i", 32), order),
        element(1, names, order),
        cells,
        numbers(values, order),
    ]
    body = matrix(name, STRUCT, (1, 1), *parts, numbers(np.array([[7, 15]], np.uint8), order), order=order)
    if compressed:
        packed = zlib.compress(body)
        body = struct.pack(order + "II", 15, len(packed)) + packed
    version = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    return b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(124) + version + body


@pytest.fixture
def ids():
    return np.random.default_rng(0).integers(0, 21, (7, 13), dtype=np.uint8)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_compressed_or_not(tmp_path, ids, compressed, order):
    path = tmp_path / "2008_000002.mat"
    path.write_bytes(mat_file(ids, compressed, order))
    found = read_mask(path)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, ids)


@pytest.mark.parametrize("dtype", ["uint8", "float64", "int32"])
@pytest.mark.parametrize("compressed", [True, False])
def test_files_by_scipy(tmp_path, ids, dtype, compressed):
    scipy_io = pytest.importorskip("scipy.io")
    sparse = pytest.importorskip("scipy.sparse")
    edges = np.empty((2, 1), object)
    edges[:, 0] = [sparse.csc_matrix(ids == 3, dtype=float), sparse.csc_matrix(ids == 5, dtype=float)]
    content = {
        "Boundaries": edges,
        "Segmentation": ids.astype(dtype),
        "CategoriesPresent": np.uint8([[3, 5]]),
    }
    path = tmp_path / "a.mat"
    scipy_io.savemat(path, {"more": np.eye(3), "GTcls": content}, do_compression=compressed)
    np.testing.assert_array_equal(read_mat_mask(path, LIMIT), ids)


def test_other_files_are_refused_by_name(tmp_path, ids):
    whole = mat_file(ids, compressed=True)
    bomb = (
        mat_file(ids)[:128]
        + (packed := zlib.compress(bytes(LIMIT * 40)), struct.pack("<II", 15, len(packed)))[1]
        + packed
    )
    files = {
        "empty.mat": b"",
        "text.mat": b"not a MAT file at all" * 20,
        "old.mat": b"\0" * 200,
        "short.mat": whole[: len(whole) // 2],
        "other.mat": mat_file(ids, name=b"GTinst"),
        "field.mat": mat_file(ids, field=b"Segments"),
        "bomb.mat": bomb,
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            DataError, match=rf"{name}: expected a MATLAB file with the matrix GTcls.Segmentation"
        ):
            read_mat_mask(tmp_path / name, LIMIT)
    with pytest.raises(DataError, match="no such file"):
        read_mat_mask(tmp_path / "none.mat", LIMIT)
    with pytest.raises(DataError, match="cannot be read"):
        read_mat_mask(tmp_path, LIMIT)
    (tmp_path / "large.mat").write_bytes(whole)
    with pytest.raises(DataError, match="7x13 pixels are more than the limit of 90"):
        read_mat_mask(tmp_path / "large.mat", 90)


@pytest.mark.parametrize("value", [300.0, -1.0, 2.5, float("nan")])
def test_values_that_are_no_ids(tmp_path, value):
    content = struct.pack("<4d", 0, 1, 2, value)
    segmentation = matrix(b"", 6, (2, 2), element(9, content))
    path = tmp_path / "v.mat"
    names = element(5, struct.pack("<i", 16)) + element(1, b"Segmentation".ljust(16, b"\0"))
    path.write_bytes(
        mat_file(np.zeros((1, 1), np.uint8))[:128] + matrix(b"GTcls", STRUCT, (1, 1), names, segmentation)
    )
    with pytest.raises(DataError, match=r"v\.mat: values from"):
        read_mat_mask(path, LIMIT)


def test_damage_is_always_a_data_error(tmp_path, ids):
    rng = np.random.default_rng(0)
    path = tmp_path / "d.mat"
    refused = 0
    for _ in range(400):
        data = np.frombuffer(mat_file(ids), np.uint8).copy()
        data[rng.integers(0, len(data), 4)] = rng.integers(0, 256, 4)
        path.write_bytes(data.tobytes())
        try:
            read_mat_mask(path, LIMIT)
        except DataError:
            refused += 1
    assert refused > 40
