"""A record inside a PNG or JPEG file of what it was made of, so that a result is known to belong to its image."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_KEY = b"kseg\0"  # of a PNG text chunk, and the beginning of a JPEG comment
_HEAD = 65_536  # bytes at the beginning of a file, among which the record is looked for


@dataclass(frozen=True)
class Origin:
    """What a result was made of.

    Attributes:
        image: the image's file name.
        place: a hash of its full path.
        bytes, mtime_ns: size and time of the file.
        sha256: of the file's content.
        made_by: a text that changes with whatever makes the result: the model, its settings.
        size: (height, width) of the result.
    """

    image: str
    place: str
    bytes: int
    mtime_ns: int
    sha256: str
    made_by: str = ""
    size: tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, path: Path, made_by: str = "", size: tuple[int, int] = (0, 0)) -> Origin:
        """The record of an image's file as it is now; OSError where it cannot be read."""
        found = path.stat()
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path.name, place_of(path), found.st_size, found.st_mtime_ns, content, made_by, size)

    def is_of(self, path: Path) -> bool:
        """Whether the image is still the one that this record speaks of; a moved or touched one is."""
        try:
            found = path.stat()
            if found.st_size != self.bytes:
                return False
            if found.st_mtime_ns == self.mtime_ns and place_of(path) == self.place:
                return True
            return Origin.of(path).sha256 == self.sha256
        except OSError:  # it is gone, or may not be read
            return False


def place_of(path: Path) -> str:
    """A hash of a file's full path, which tells files apart and says nothing about folders."""
    return hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def with_origin(data: bytes, origin: Origin) -> bytes:
    """A PNG or JPEG file's content with the record in it: a text chunk, or a comment."""
    text = _KEY + json.dumps(asdict(origin)).encode("ascii")
    if data.startswith(_PNG):
        end = len(_PNG) + 25  # after the header chunk
        chunk = b"tEXt" + text
        return (
            data[:end]
            + struct.pack(">I", len(text))
            + chunk
            + struct.pack(">I", zlib.crc32(chunk))
            + data[end:]
        )
    return _JPEG + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + data[2:]


def read_origin(path: Path) -> Origin | None:
    """The record in a file; None where there is none, or none that can be read."""
    try:
        with open(path, "rb") as file:
            data = file.read(_HEAD)
        if data.startswith(_PNG):
            place = len(_PNG) + 25
            length, kind = struct.unpack(">I4s", data[place : place + 8])
            text = data[place + 8 : place + 8 + length] if kind == b"tEXt" else b""
        else:
            place = data.find(b"\xff\xfe")
            (length,) = struct.unpack(">H", data[place + 2 : place + 4])
            text = data[place + 4 : place + 2 + length] if place == 2 else b""
        if not text.startswith(_KEY):
            return None
        found = json.loads(text[len(_KEY) :])
        return Origin(**{**found, "size": tuple(found["size"])})
    except (OSError, ValueError, TypeError, KeyError, struct.error):
        return None


def is_whole(path: Path, size: tuple[int, int] | None = None) -> bool:
    """Whether an image file can be decoded to its end, and has this (height, width)."""
    try:
        with Image.open(path) as image:
            if size is not None and image.size != (size[1], size[0]):
                return False
            image.verify()  # checksums
        with Image.open(path) as image:
            image.load()
        return True
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False
