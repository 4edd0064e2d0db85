"""Writing label maps as palette PNG, the mask format of PASCAL VOC."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kseg.data.dataset import colour_map
from kseg.errors import DataError, SettingsError
from kseg.io.atomic import write_bytes

Palette = Sequence[tuple[int, int, int]]
SIGNATURE = b"\x89PNG\r\n\x1a\n"
BLOCK_ROWS = 256


def default_palette(count: int) -> tuple[tuple[int, int, int], ...]:
    """The first ``count`` colours of PASCAL VOC's colour map, whose class 0 is black; it repeats after
    256."""
    colours = colour_map(min(count, 256))
    return tuple(colours[i % 256] for i in range(count))


def write_palette_png(path: str | Path, labels: np.ndarray, palette: Palette | None = None) -> None:
    """Write class ids as an 8-bit indexed PNG: the pixels are the ids, and a viewer shows the palette's
    colours.

    Args:
        path: the file; it is replaced as a whole or left as it was.
        labels: uint8 (H, W) class ids, 255 allowed.
        palette: RGB colours 0-255 of the first classes; the rest of the 256 entries come from VOC's colour
            map.

    Raises:
        DataError: labels that are not uint8 (H, W).
        SettingsError: a palette of more than 256 entries, or entries that are no colours.

    OpenCV writes no indexed PNG. Format: PNG specification (W3C), third edition, sections 5, 11.2.
    """
    write_bytes(path, palette_png(labels, palette))


def palette_png(labels: np.ndarray, palette: Palette | None = None) -> bytes:
    """The content of the file that `write_palette_png` writes."""
    labels = np.asarray(labels)
    if labels.dtype != np.uint8 or labels.ndim != 2 or 0 in labels.shape:
        raise DataError(
            f"A palette PNG holds uint8 labels (height, width); got {labels.dtype} {labels.shape}"
        )
    height, width = labels.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = [
        SIGNATURE,
        _chunk(b"IHDR", header),
        _chunk(b"PLTE", palette_table(palette).tobytes()),
        _chunk(b"IDAT", _compressed(labels)),
        _chunk(b"IEND", b""),
    ]
    return b"".join(chunks)


def palette_table(palette: Palette | None) -> np.ndarray:
    """uint8 (256, 3): the palette, filled up with VOC's colour map."""
    table = np.array(default_palette(256), np.uint8)
    if palette is None:
        return table
    colours = np.asarray(palette)
    whole = colours.dtype.kind in "iu" and colours.size and colours.min() >= 0 and colours.max() <= 255
    if colours.ndim != 2 or colours.shape[1] != 3 or len(colours) > 256 or not whole:
        raise SettingsError(
            "A palette has up to 256 colours (red, green, blue), whole numbers 0-255; got an array of shape "
            f"{colours.shape} and type {colours.dtype}"
        )
    table[: len(colours)] = colours
    return table


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _compressed(labels: np.ndarray) -> bytes:
    """The rows, each behind its filter type 0 (none), which suits indexed pixels best; block by block."""
    packer, packed = zlib.compressobj(6), []
    for top in range(0, len(labels), BLOCK_ROWS):
        rows = np.pad(labels[top : top + BLOCK_ROWS], ((0, 0), (1, 0)))
        packed.append(packer.compress(rows.tobytes()))
    return b"".join([*packed, packer.flush()])
