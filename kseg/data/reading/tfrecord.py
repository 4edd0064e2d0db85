"""TFRecord files: where each record lies, and reading one with its checksums.

A record is its length (8 bytes), the length's checksum, the bytes, and their checksum. TensorFlow's own reader
checks both, but only from the start of a file to its end.

Source: TensorFlow, `tensorflow/core/lib/io/record_writer.h`.
"""

from __future__ import annotations

import struct
from pathlib import Path

from kseg.errors import DataError
from kseg.io.formats.checksum import masked_crc32c
from kseg.io.regular import read_errors, regular_size


def record_offsets(path: str) -> list[tuple[int, int]]:
    """(start, length) of every record; DataError if the file cannot be read, is cut short or a length has a wrong
    checksum."""
    size, offsets, at = regular_size(Path(path)), [], 0
    with read_errors(path), open(path, "rb") as file:
        while at < size:
            file.seek(at)
            header = file.read(12)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == 12 else size
            if at + 16 + length > size:
                raise DataError(
                    f"{path}: cut short or damaged at record {len(offsets)} (byte {at}): prepare the data set again"
                )
            if masked_crc32c(header[:8]) != struct.unpack("<I", header[8:])[0]:
                raise DataError(
                    f"{path}: the length of record {len(offsets)} (byte {at}) has a wrong checksum: prepare the data "
                    "set again"
                )
            offsets.append((at + 12, length))
            at += 16 + length
    return offsets


def read_record(path: str, start: int, length: int) -> bytes | None:
    """The bytes of a record; None if they do not have their checksum. DataError if the file cannot be read."""
    with read_errors(path), open(path, "rb") as file:
        file.seek(start)
        content = file.read(length + 4)
    record, check = content[:length], content[length:]
    return record if len(check) == 4 and masked_crc32c(record) == struct.unpack("<I", check)[0] else None
