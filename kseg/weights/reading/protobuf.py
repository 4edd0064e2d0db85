"""`Message`: protocol buffers read field by field, where no length is believed before it is compared with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Any

import numpy as np

from kseg.errors import ModelError

VARINT, FIXED64, CHUNK, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Message:
    """A part of a file: a message, a text, or numbers one after another; the field it is in says which.

    Args:
        content: of the whole file.
        start, end: where the part lies in it.
        what: begins the sentence about a damaged file.
    """

    content: mmap | memoryview | bytes
    start: int
    end: int
    what: str

    def fields(self, *wanted: int) -> Iterator[tuple[int, int, Any]]:
        """Field number, wire type and value of the wanted fields: a whole number, or the `Message` of its bytes.

        Numbers that stand one by one after a tag of a single byte (unpacked floats) come as one run, tags included.
        """
        position = self.start
        while position < self.end:
            tag, begin = self.varint(position)
            field, wire = tag >> 3, tag & 7
            value: Any = None
            if wire == VARINT:
                value, next_ = self.varint(begin)
            elif wire == CHUNK:
                length, begin = self.varint(begin)
                next_ = begin + length
            elif wire in (FIXED32, FIXED64):
                width = 1 + (4 if wire == FIXED32 else 8)
                short = begin == position + 1
                next_ = self._end_of_run(position, width) if short else begin + width - 1
                begin = position
            else:
                next_ = self.end + 1
            if next_ > self.end or field == 0:
                raise ModelError(f"{self.what}: a field reaches beyond its message")
            if field in wanted:
                yield field, wire, Message(self.content, begin, next_, self.what) if value is None else value
            position = next_

    def _end_of_run(self, position: int, width: int) -> int:
        """Where a run of numbers with the same tag ends; beyond the message for a number that is cut."""
        count = (self.end - position) // width
        if count == 0:
            return self.end + 1
        tagged = np.dtype([("tag", "u1"), ("rest", f"V{width - 1}")])
        tags = np.frombuffer(self.content, tagged, count, position)["tag"]
        block, same = 1 << 16, 0
        while same < count:  # in blocks: a message may hold something else after a short run
            alike = tags[same : same + block] == tags[0]
            if not alike.all():
                return position + width * (same + int(alike.argmin()))
            same += len(alike)
        return position + width * count

    def varint(self, position: int) -> tuple[int, int]:
        """A whole number of up to ten bytes, and where the next field begins."""
        number = 0
        for shift in range(0, 70, 7):
            if position >= self.end:
                break
            byte = self.content[position]
            position += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number, position
        raise ModelError(f"{self.what}: a number has no end")

    def varints(self, at_most: int) -> list[int]:
        """Whole numbers one after another; those beyond the first `at_most` are left."""
        found, position = [], self.start
        while position < self.end and len(found) < at_most:
            number, position = self.varint(position)
            found.append(number)
        return found

    def numbers(self, dtype: str, tagged: bool = False) -> np.ndarray:
        """A view of the part's numbers, or of those of a run, which have a tag each."""
        kind = np.dtype([("tag", "u1"), ("number", dtype)]) if tagged else np.dtype(dtype)
        if (self.end - self.start) % kind.itemsize:
            raise ModelError(f"{self.what}: it ends in the middle of a number")
        found = np.frombuffer(self.content, kind, (self.end - self.start) // kind.itemsize, self.start)
        return found["number"] if tagged else found

    def text(self) -> str:
        """The part as a name."""
        if self.end - self.start > 1000:
            raise ModelError(f"{self.what}: a name has {self.end - self.start:,} letters")
        try:
            return bytes(self.content[self.start : self.end]).decode("utf-8")
        except UnicodeDecodeError:
            raise ModelError(f"{self.what}: a name is not text") from None


def tensor_shape(message: Message) -> list[int]:
    """The sides of TensorFlow's TensorShapeProto, at most 17 of them."""
    sides = [side for _, kind, side in message.fields(2) if kind == CHUNK][:17]
    lengths = [list(side.fields(1)) for side in sides]
    return [found[-1][2] if found and found[-1][1] == VARINT else 0 for found in lengths]
