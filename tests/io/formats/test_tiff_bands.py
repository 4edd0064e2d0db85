"""TIFF files as GDAL writes them, written here by the specification (TIFF 6.0)."""

import struct
import zlib

import numpy as np
import pytest

from kseg.errors import DataError
from kseg.io.formats.tiff_bands import read_tiff


def tiff(image, *, apart=False, rows=None, tile=None, compression=1, predictor=1, order="<"):
    """One page of several bands, in strips of `rows`, or in tiles."""
    height, width, bands = image.shape
    image = image.astype(image.dtype.newbyteorder(order))
    layers = [image[..., b : b + 1] for b in range(bands)] if apart else [image]
    down, across = (tile, tile) if tile else (rows or height, width)
    blocks = []
    for layer in layers:
        for y in range(0, height, down):
            for x in range(0, width, across):
                part = layer[y : y + down, x : x + across]
                if tile:
                    part = np.pad(part, ((0, down - part.shape[0]), (0, across - part.shape[1]), (0, 0)))
                if predictor == 2:
                    part = np.concatenate([part[:, :1], part[:, 1:] - part[:, :-1]], axis=1).astype(image.dtype)
                data = part.tobytes()
                blocks.append(data if compression == 1 else zlib.compress(data))
    kind = {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    tags = {256: [width], 257: [height], 258: [image.dtype.itemsize * 8] * bands, 259: [compression], 262: [1]}
    tags |= {277: [bands], 284: [2 if apart else 1], 317: [predictor], 339: [kind] * bands}
    tags |= {322: [tile], 323: [tile]} if tile else {278: [down]}
    sizes = [len(block) for block in blocks]
    tags |= {325 if tile else 279: sizes}
    starts = 324 if tile else 273
    tags[starts] = [0] * len(blocks)
    head = 8 + 2 + 12 * len(tags) + 4
    extra = sum(4 * len(values) for values in tags.values() if len(values) > 1)
    at = head + extra
    tags[starts] = [at + sum(sizes[:i]) for i in range(len(sizes))]
    entries, more = b"", b""
    for tag, values in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            place, more = struct.pack(f"{order}I", head + len(more)), more + packed
        else:
            place = packed
        entries += struct.pack(f"{order}HHI", tag, 4, len(values)) + place
    start = b"II*\0" if order == "<" else b"MM\0*"
    return start + struct.pack(f"{order}IH", 8, len(tags)) + entries + bytes(4) + more + b"".join(blocks)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"rows": 3},
        {"apart": True, "rows": 4},
        {"tile": 16},
        {"tile": 16, "apart": True, "compression": 8},
        {"rows": 2, "compression": 8},
        {"order": ">", "compression": 32946},
    ],
)
def test_bands(dtype, settings):
    image = (np.random.default_rng(0).random((19, 21, 6)) * 250).astype(dtype)
    found = read_tiff(tiff(image, **settings), "a.tif", None)
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found, image)


def test_differences_along_the_rows():
    image = np.random.default_rng(0).integers(0, 65536, (9, 11, 5)).astype(np.uint16)
    data = tiff(image, compression=8, predictor=2, rows=4)
    np.testing.assert_array_equal(read_tiff(data, "a.tif", None), image)


def test_what_is_not_read():
    image = np.zeros((4, 5, 6), np.uint16)
    data = tiff(image)
    with pytest.raises(DataError, match="compression that kseg does not read"):
        read_tiff(data.replace(struct.pack("<HHII", 259, 4, 1, 1), struct.pack("<HHII", 259, 4, 1, 5)), "a.tif", None)
    with pytest.raises(DataError, match="BigTIFF"):
        read_tiff(b"II+\0" + data[4:], "a.tif", None)
    with pytest.raises(DataError, match="damaged"):
        read_tiff(data[:-9], "a.tif", None)
    with pytest.raises(DataError, match="damaged"):
        read_tiff(tiff(image, compression=8)[:-9], "a.tif", None)
    with pytest.raises(DataError, match="limit"):
        read_tiff(data, "a.tif", 10)
