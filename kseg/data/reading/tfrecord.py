"""TFRecord files: where each record lies, and reading one with its checksums.

A record is its length (8 bytes), the length's checksum, the bytes, and their checksum. TensorFlow's own reader
checks both, but only from the start of a file to its end.

Source: TensorFlow, `tensorflow/core/lib/io/record_writer.h`; CRC-32C as in RFC 3720, section 12.1.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path

import numpy as np

from kseg.errors import DataError
from kseg.io.regular import regular_size, told

_POLYNOMIAL = 0x82F63B78  # reflected
_BLOCK = 256


def record_offsets(path: str) -> list[tuple[int, int]]:
    """(start, length) of every record; DataError if the file cannot be read, is cut short or a length has a wrong
    checksum."""
    size, offsets, at = regular_size(Path(path)), [], 0
    with told(path), open(path, "rb") as file:
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
    with told(path), open(path, "rb") as file:
        file.seek(start)
        content = file.read(length + 4)
    record, check = content[:length], content[length:]
    return record if len(check) == 4 and masked_crc32c(record) == struct.unpack("<I", check)[0] else None


def masked_crc32c(data: bytes) -> int:
    """The checksum as TFRecord files store it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of some bytes."""
    table, head = _table().tolist(), len(data) % _BLOCK
    crc = 0xFFFFFFFF
    for byte in data[:head]:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    blocks = np.frombuffer(data, np.uint8, offset=head).reshape(-1, _BLOCK).T
    shifts = _shifts()
    for own in _after(np.zeros(blocks.shape[1], np.uint32), blocks).tolist():
        # The checksum is linear: what came before, moved over a block of zeros, plus the block's own.
        moved = shifts[0][crc & 0xFF] ^ shifts[1][crc >> 8 & 0xFF] ^ shifts[2][crc >> 16 & 0xFF]
        crc = moved ^ shifts[3][crc >> 24] ^ own
    return crc ^ 0xFFFFFFFF


def _after(crc: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The states of many checksums side by side after the bytes of `columns`, one row after the other."""
    table = _table()
    for row in columns:
        crc = table[(crc ^ row) & np.uint32(0xFF)] ^ (crc >> np.uint32(8))
    return crc


@lru_cache(1)
def _table() -> np.ndarray:
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1).astype(np.uint32)
    return values


@lru_cache(1)
def _shifts() -> list[list[int]]:
    """For each of a state's four bytes, what its values become over a block of zeros."""
    zeros = np.zeros((_BLOCK, 256), np.uint8)
    return [
        _after(np.arange(256, dtype=np.uint32) << np.uint32(8 * byte), zeros).tolist() for byte in range(4)
    ]
