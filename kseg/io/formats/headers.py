"""What Pillow does not tell of a file: a PNG's checksums, a WebP's compression, an orientation anywhere in a file."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngImageFile

_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_TEXTS = (b"IHDR", b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_NO_PIXELS = b"".join(bytes(4) + name + zlib.crc32(name).to_bytes(4, "big") for name in (b"IDAT", b"IEND"))


@dataclass(frozen=True)
class WebPFrame:
    """A WebP file's size, and whether its compression keeps every value."""

    height: int
    width: int
    lossless: bool


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(name, whole chunk: length, name, content, checksum) of every complete chunk of a PNG."""
    at = 8
    while at + 12 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at : at + 12 + length]
        if len(chunk) == 12 + length:
            yield name, chunk
        at += 12 + length


def check_png(data: bytes) -> None:
    """ValueError where a chunk that matters has a wrong checksum, or the file has no end."""
    for name, chunk in png_chunks(data):
        if name in _CRITICAL and zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise ValueError(f"wrong checksum of {name!r}")
        if name == b"IEND":
            return
    raise ValueError("no end")


def webp_frame(data: bytes) -> WebPFrame:
    """The size and compression of a WebP file; struct.error or ValueError where it has none."""
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return WebPFrame(height & 0x3FFF, width & 0x3FFF, lossless=False)
    if chunk == b"VP8L":
        bits = struct.unpack("<I", data[21:25])[0]
        return WebPFrame(((bits >> 14) & 0x3FFF) + 1, (bits & 0x3FFF) + 1, lossless=True)
    if chunk == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        names, at = set(), 12
        while at + 8 <= len(data):
            names.add(data[at : at + 4])
            length = struct.unpack("<I", data[at + 4 : at + 8])[0]
            at += 8 + length + length % 2
        return WebPFrame(height, width, lossless=b"VP8 " not in names)
    raise ValueError("no WebP frame")


def _without_pixels(data: bytes) -> PngImageFile:
    """A PNG opened from its header and texts alone, those behind its pixels too."""
    chunks = [chunk for name, chunk in png_chunks(data) if name in _TEXTS]
    return PngImageFile(io.BytesIO(data[:8] + b"".join(chunks) + _NO_PIXELS))


def orientation_of(image: Image.Image, data: bytes) -> int:
    """The EXIF orientation of an opened image, 1 to 8; 1 (upright) where it has none or it is damaged."""
    try:
        if data[:4] == b"\x89PNG":
            image = _without_pixels(data)
        # Not a PNG's own `getexif`, which decodes its pixels, however many, to see what is after them.
        exif = Image.Image.getexif(image)
        value = exif.get(ExifTags.Base.Orientation, 1)
    except Exception:  # EXIF is written by anyone, in any way; the image is sound without it
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
