"""`read_tiff`: TIFF files of several pages, or of more bands than Pillow and OpenCV take."""

from __future__ import annotations

import io
import itertools
import zlib

import numpy as np
from PIL import Image, ImageSequence, TiffImagePlugin

from kseg.errors import DataError
from kseg.io.image_file import check_pixels, decode_errors

WIDTH, HEIGHT, BITS, COMPRESSION, STRIPS, SAMPLES, ROWS, BYTES = 256, 257, 258, 259, 273, 277, 278, 279
PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, FORMAT = 284, 317, 322, 323, 324, 325, 339
NONE, DEFLATE = 1, (8, 32946)
_KINDS = {1: "u", 2: "i", 3: "f"}


def read_tiff(data: bytes, name: str, max_pixels: int | None) -> np.ndarray:
    """All bands of a TIFF file, as stored.

    Pages are read one after the other, and are all of one size. Bands of one page are read where they are
    uncompressed or deflated, in strips or tiles, together or apart; LZW, JPEG and other compressions only where Pillow
    reads the page by itself, which means one band, or RGB and RGBA of 8 bits. BigTIFF is not read.

    Args:
        data: the file.
        name: names it in messages.
        max_pixels: images of more pixels are refused before they are decoded.

    Returns:
        `(height, width, bands)`.

    Raises:
        DataError: the file is damaged, of another kind, or its pages differ in size.
    """
    if data[2:4] not in (b"*\0", b"\0*"):
        raise DataError(f"{name}: a BigTIFF, which kseg does not read: save it as a plain TIFF or as .npy")
    with decode_errors(name):
        tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        stream = io.BytesIO(data)
        stream.seek(tags.next)
        tags.load(stream)
        height, width, bands = int(tags[HEIGHT]), int(tags[WIDTH]), int(tags.get(SAMPLES, 1))
        check_pixels(name, height, width, max_pixels)
        if bands > 1 and not tags.next:
            return _bands(data, tags, name)
        with Image.open(io.BytesIO(data), formats=["TIFF"]) as opened:
            pages = []
            for page in ImageSequence.Iterator(opened):
                if page.size != (width, height):
                    raise DataError(
                        f"{name}: pages differ in size: {height}x{width} and {page.height}x{page.width}"
                    )
                array = np.asarray(page)
                array = array.astype(array.dtype.newbyteorder("="))
                pages.append(array if array.ndim == 3 else array[..., None])
        return np.concatenate(pages, axis=-1)


def _bands(data: bytes, tags: TiffImagePlugin.ImageFileDirectory_v2, name: str) -> np.ndarray:
    """The bands of one page, put together from its strips or tiles."""
    compression = tags.get(COMPRESSION, NONE)
    bits, kinds = set(_all(tags.get(BITS, 1))), set(_all(tags.get(FORMAT, 1)))
    if compression not in (NONE, *DEFLATE) or len(bits) > 1 or len(kinds) > 1 or tags.get(PREDICTOR, 1) > 2:
        raise DataError(
            f"{name}: a TIFF of several bands in a compression that kseg does not read: save it uncompressed or "
            "deflated, one page a band, or as .npy"
        )
    kind, size = _KINDS.get(kinds.pop()), bits.pop()
    if kind is None or size not in (8, 16, 32, 64):
        raise DataError(
            f"{name}: a TIFF of {size}-bit values of an unknown kind: save it as uint8, uint16 or float32"
        )
    dtype = np.dtype(f"{'>' if data[:2] == b'MM' else '<'}{kind}{size // 8}")
    height, width, bands = int(tags[HEIGHT]), int(tags[WIDTH]), int(tags[SAMPLES])
    apart = tags.get(PLANAR, 1) == 2
    layers, each = (bands, 1) if apart else (1, bands)
    tiled = TILES in tags
    strip = (min(int(tags.get(ROWS, height)), height), width)
    block = (int(tags[TILE_HEIGHT]), int(tags[TILE_WIDTH])) if tiled else strip
    offsets, counts = _all(tags[TILES if tiled else STRIPS]), _all(tags[TILE_BYTES if tiled else BYTES])
    if min(block) < 1 or height * width * bands * dtype.itemsize > 1000 * len(data) + 2**20:
        raise ValueError("more pixels than the file holds")
    result = np.zeros((height, width, bands), dtype.newbyteorder("="))
    places = itertools.product(range(layers), range(0, height, block[0]), range(0, width, block[1]))
    for (layer, y, x), offset, count in zip(places, offsets, counts, strict=True):
        rows = block[0] if tiled else min(block[0], height - y)
        needed = rows * block[1] * each * dtype.itemsize
        stored = data[offset : offset + count]
        if compression != NONE:
            stored = zlib.decompressobj().decompress(stored, needed)
        if len(stored) < needed:
            raise ValueError("a block that is cut short")
        values = np.frombuffer(stored[:needed], dtype).reshape(rows, block[1], each).astype(result.dtype)
        if tags.get(PREDICTOR, 1) == 2:  # differences along the rows
            values = np.cumsum(values, axis=1, dtype=result.dtype)
        part = values[: height - y, : width - x]
        target = slice(layer, layer + 1) if apart else slice(None)
        result[y : y + part.shape[0], x : x + part.shape[1], target] = part
    return result


def _all(values: object) -> tuple:
    return tuple(values) if isinstance(values, (tuple, list)) else (values,)
