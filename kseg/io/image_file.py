"""Opening image files: what a file is and how large, before anything is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from kseg.errors import DataError
from kseg.io.formats.headers import check_png, orientation_of, webp_frame
from kseg.io.formats.jpeg import Damage, Frame, check_complete, check_size, check_zeros, read_frame
from kseg.io.formats.jpeg_codes import SPARE_BYTES, check_scans
from kseg.io.regular import read_regular

SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".gif")
MAX_PIXELS = 50_000_000
FOLLOWED_BYTES = 2_000_000  # about a second
LOOK_AHEAD = 8  # bytes that libjpeg wants to see before it takes the last bits
_KINDS = "PNG, JPEG, BMP, WebP, TIFF or GIF"
_OPENERS = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.JpegImageFile,
    "bmp": BmpImagePlugin.BmpImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
    "tiff": TiffImagePlugin.TiffImageFile,
    "gif": GifImagePlugin.GifImageFile,
}
_SIGNS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"BM": "bmp",
    b"GIF8": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
}
_followed: set[tuple[int, int]] = set()
# What Pillow raises at files that are damaged or made to deceive it.
_UNREADABLE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, ArithmeticError,
    MemoryError, RuntimeError, struct.error, zlib.error, cv2.error, Image.DecompressionBombError,
)  # fmt: skip


@dataclass
class ImageFile:
    """An image whose header has been read, and nothing decoded.

    Args:
        name: names it in messages.
        data: the file's bytes.
        kind: `"png"`, `"jpeg"`, `"bmp"`, `"webp"`, `"tiff"` or `"gif"`.
        height, width: as stored; of a TIFF after its orientation.
        opened: Pillow's image, not loaded.
        frame: a JPEG's headers.
    """

    name: str
    data: bytes
    kind: str
    height: int
    width: int
    opened: Image.Image
    frame: Frame | None = None

    @property
    def lossless(self) -> bool:
        """Whether the compression keeps every value."""
        if self.kind == "webp":
            return webp_frame(self.data).lossless
        if self.kind == "tiff":
            return self.opened.info.get("compression") not in ("jpeg", "tiff_jpeg", "webp", "jpeg2000")
        return self.kind != "jpeg"

    @property
    def deep(self) -> bool:
        """Whether colours have more than 8 bits a channel, which Pillow would cut off."""
        if self.kind == "png":
            return self.data[24] == 16 and self.data[25] != 0
        bits = self.opened.tag_v2.get(258, (1,)) if self.kind == "tiff" else (8,)
        return max(bits) > 8 and len(bits) > 1

    @property
    def orientation(self) -> int:
        """The EXIF orientation, 1 to 8."""
        return orientation_of(self.opened, self.data)

    def oriented_size(self) -> tuple[int, int]:
        """(height, width) after the EXIF orientation."""
        turned = self.kind != "tiff" and self.orientation >= 5
        return (self.width, self.height) if turned else (self.height, self.width)


def open_image(
    source: str | Path | bytes, max_pixels: int | None = MAX_PIXELS, *, name: str | None = None
) -> ImageFile:
    """Reads an image's bytes and its header, and decodes nothing.

    Raises:
        DataError: as `read_image`, as far as the header shows it.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), name or "the image"
    else:
        name = name or str(source)
        data = read_regular(Path(source), MAX_PIXELS if max_pixels is None else max_pixels)
    kind = image_kind(data)
    if kind is None:
        reason = "an empty file" if not data else f"not a {_KINDS} image, or cut short"
        raise DataError(f"{name}: {reason}: replace or remove it")
    frame = None
    with decode_errors(name):
        if kind == "webp":  # Pillow makes room for its pixels when it opens it
            size = webp_frame(data)
            check_pixels(name, size.height, size.width, max_pixels)
        if kind == "png":
            check_png(data)
        if kind == "jpeg":
            frame = read_frame(data)
        opened = _OPENERS[kind](_Fed(data))
        width, height = opened.size
    if height < 1 or width < 1:
        raise DataError(f"{name}: an image of {height}x{width} pixels: replace or remove it")
    check_pixels(name, height, width, max_pixels)
    with decode_errors(name):
        if frame is not None:
            check_size(frame)
        count = getattr(opened, "n_frames", 1)
    if count > 1 and kind != "jpeg":
        raise DataError(
            f"{name}: {count} images in one file (an animation, or pages), where one is expected: save each as a file "
            "of its own"
        )
    return ImageFile(name, data, kind, height, width, opened, frame)


def image_kind(data: bytes) -> str | None:
    """`"png"`, `"jpeg"`, `"bmp"`, `"webp"`, `"tiff"` or `"gif"` by a file's first bytes; None for any other file."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((kind for sign, kind in _SIGNS.items() if data.startswith(sign)), None)


def check_pixels(name: str | Path, height: int, width: int, max_pixels: int | None) -> None:
    """DataError where an image not decoded yet has more than `max_pixels` pixels; `name` names it."""
    if max_pixels is not None and height * width > max_pixels:
        raise DataError(
            f"{name}: {height}x{width} pixels are more than the limit of {max_pixels:,}, and were not decoded: make "
            "the image smaller, cut it into tiles, or raise --max-pixels (max_pixels=)"
        )


@contextmanager
def decode_errors(name: str) -> Iterator[None]:
    """Within it, what decoders raise becomes a DataError that names the file."""
    try:
        yield
    except Damage as error:
        raise DataError(f"{name}: the image is damaged ({error}): replace or remove it") from None
    except _UNREADABLE:
        raise DataError(
            f"{name}: the image is cut short or damaged and cannot be decoded: replace or remove it"
        ) from None


class _Fed(io.BytesIO):
    """A file that is read in given portions once they are set; `asked` counts how many were needed."""

    portions: tuple[bytes, ...] = ()
    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        if not self.portions:
            return super().read(size)
        self.asked += 1
        return self.portions[self.asked - 1] if self.asked <= len(self.portions) else b""


def load_jpeg(file: ImageFile) -> None:
    """Decode a JPEG and raise Damage where libjpeg only warns.

    In a simple file the decoder must need the last bytes of the compressed data, and nothing after them; which
    portions it asks for tells. In others (progressive, or with restart markers) the codes are followed, up to
    `FOLLOWED_BYTES` and once a file, because that takes longer than decoding.
    """
    frame, data = file.frame, file.data
    if not frame.ended:
        raise Damage("its end is missing")
    check_zeros(data, frame)
    if not frame.simple:
        check_complete(frame)
        mark = len(data), zlib.crc32(data)
        if len(data) <= FOLLOWED_BYTES and mark not in _followed:
            check_scans(data, frame)
            _followed.add(mark)
        file.opened.load()
        return
    stop = frame.scans[0].stop
    early, late = data[: stop - SPARE_BYTES - 1], data[stop - SPARE_BYTES - 1 : stop]
    fed = file.opened.fp
    fed.portions = (early, late + b"\x7f" * LOOK_AHEAD, data[stop:])
    file.opened.load()
    if fed.asked == 1:
        raise Damage("compressed data is left over")
    if fed.asked > 2:
        raise Damage("its compressed data ends too early")
