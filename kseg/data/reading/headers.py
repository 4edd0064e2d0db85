"""What a picture file says about itself before it is decoded: format, size, depth, orientation."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Header:
    """The facts in a picture file's header.

    ``kind`` is ``"png"``, ``"jpeg"``, ``"bmp"`` or ``"webp"``; ``bits`` is the depth of a channel;
    ``indexed`` is true for palette PNG and BMP; ``lossless`` is false for JPEG and lossy WebP;
    ``orientation`` is the EXIF value 1 to 8 of a JPEG.
    """

    kind: str
    height: int
    width: int
    bits: int = 8
    indexed: bool = False
    lossless: bool = True
    orientation: int = 1


def read_header(data: bytes) -> Header | None:
    """The header of an encoded picture, or None where it is none of PNG, JPEG, BMP, WebP or is cut short."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n":
            return _png(data)
        if data[:3] == b"\xff\xd8\xff":
            return _jpeg(data)
        if data[:2] == b"BM":
            return _bmp(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError):
        return None
    return None


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, whole chunk: length, name, content, checksum) of every complete chunk of a PNG."""
    at = 8
    while at + 12 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        yield name, data[at : at + 12 + length]
        at += 12 + length


def _png(data: bytes) -> Header | None:
    if data[12:16] != b"IHDR":
        return None
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    return Header("png", height, width, bits, indexed=colour == 3)


def _bmp(data: bytes) -> Header:
    if struct.unpack("<I", data[14:18])[0] == 12:  # the old OS/2 header has 16-bit sizes
        width, height, _, depth = struct.unpack("<HHHH", data[18:26])
    else:
        width, height, _, depth = struct.unpack("<iiHH", data[18:30])
    return Header("bmp", abs(height), abs(width), indexed=depth <= 8)


def _webp(data: bytes) -> Header | None:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return Header("webp", height & 0x3FFF, width & 0x3FFF, lossless=False)
    if chunk == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return Header("webp", ((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1)
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return Header("webp", height, width, lossless=b"VP8 " not in _webp_chunks(data))
    return None


def _webp_chunks(data: bytes) -> set[bytes]:
    """The names of a WebP file's chunks."""
    names, at = set(), 12
    while at + 8 <= len(data):
        names.add(data[at : at + 4])
        length = struct.unpack("<I", data[at + 4 : at + 8])[0]
        at += 8 + length + length % 2
    return names


def _jpeg(data: bytes) -> Header | None:
    """Walk the marker segments up to the frame header (SOF), noting the EXIF orientation on the way."""
    at, orientation = 2, 1
    while True:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # padding, or a marker without length
            at += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits, height, width = struct.unpack(">BHH", data[at + 4 : at + 9])
            return Header("jpeg", height, width, bits, lossless=False, orientation=orientation)
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\x00\x00":
            orientation = _exif_orientation(data[at + 10 : at + 2 + length])
        at += 2 + length


def _exif_orientation(tiff: bytes) -> int:
    """The orientation tag of a TIFF block; 1 (upright) where it has none or is damaged."""
    try:
        order = {b"II": "<", b"MM": ">"}[tiff[:2]]
        start = struct.unpack(order + "I", tiff[4:8])[0]
        for entry in range(struct.unpack(order + "H", tiff[start : start + 2])[0]):
            tag, _, _, value = struct.unpack(order + "HHIH", tiff[start + 2 + 12 * entry :][:10])
            if tag == 0x0112:
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1
