"""CRC-32C, the checksum of TensorFlow's files.

Source: RFC 3720, section 12.1; its mask as in TensorFlow, `tensorflow/core/lib/hash/crc32c.h`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

_POLYNOMIAL = 0x82F63B78  # reflected
_BLOCK = 256


def masked_crc32c(data: bytes | memoryview) -> int:
    """The checksum as TensorFlow stores it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes | memoryview) -> int:
    """CRC-32C (Castagnoli) of some bytes."""
    table, head = _table().tolist(), len(data) % _BLOCK
    crc = 0xFFFFFFFF
    for byte in data[:head]:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    if head == len(data):
        return crc ^ 0xFFFFFFFF
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
