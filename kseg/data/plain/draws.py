"""TensorFlow's stateless random numbers, number for number, in Python: epochs do not depend on what is installed."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

_WORD = 0xFFFFFFFF
_ROUND_KEYS = 4
_THIRD_KEY = 498247692  # what tf.random.experimental.index_shuffle puts before its seed of two numbers


def index_shuffle(index: int, seed: Sequence[int], max_index: int) -> int:
    """The place of `index` in a permutation of 0 to `max_index`, as `tf.random.experimental.index_shuffle` gives it.

    Source: the Simon cipher (Beaulieu et al. 2013, eprint 2013/404) of four rounds, applied until it stays within the
    range; key schedule, block sizes and seed as in TensorFlow's `random_index_shuffle.cc`.
    """
    if max_index == 0:
        return 0
    bits = math.ceil(math.log2(max_index))
    word = max(bits + bits % 2, 16) // 2
    mask = (1 << word) - 1

    def rotated(value: int, by: int) -> int:
        return ((value << by) | (value >> (word - by))) & mask

    def mixed(value: int) -> int:
        return (rotated(value, 1) & rotated(value, 8)) ^ rotated(value, 2)

    keys = [key & _WORD & mask for key in (_THIRD_KEY, *seed)]
    last = keys[2]
    keys.append((0xFFFFFFFC ^ 1 ^ keys[0] ^ rotated(last, word - 3) ^ rotated(last, word - 4)) & mask)
    while True:
        left, right = index >> word, index & mask
        for first, second in zip(keys[0:_ROUND_KEYS:2], keys[1:_ROUND_KEYS:2], strict=True):
            left ^= mixed(right) ^ first
            right ^= mixed(left) ^ second
        index = left << word | right
        if index <= max_index:
            return index


def uniform(seed: Sequence[int], count: int) -> list[float]:
    """`tf.random.stateless_uniform([count], seed)`: float32 numbers from 0 to below 1."""
    words = [word for block in range(-(-count // 4)) for word in _block(seed, block)][:count]
    # 23 random bits after the exponent of 1.
    return [struct.unpack("f", struct.pack("I", 127 << 23 | word & 0x7FFFFF))[0] - 1 for word in words]


def fold_in(seed: Sequence[int], data: int) -> tuple[int, int]:
    """`tf.random.experimental.stateless_fold_in(seed, data)` for an int64."""
    low, high, *_ = _block(seed, 0)
    number = high << 32 | low
    return number - (number >> 63 << 64), data


def _block(seed: Sequence[int], number: int) -> tuple[int, int, int, int]:
    """Block `number` of four words after a seed of two int64, which is scrambled by one block of its own."""
    words = [word for part in seed for word in (part & _WORD, part >> 32 & _WORD)]
    key_0, key_1, low, high = _philox(words, 0x3EC8F720, 0x02461E29)
    return _philox([number, 0, low, high], key_0, key_1)


def _philox(counter: Sequence[int], key_0: int, key_1: int) -> tuple[int, int, int, int]:
    """Philox 4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3")."""
    a, b, c, d = counter
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = second >> 32 ^ b ^ key_0, second & _WORD, first >> 32 ^ d ^ key_1, first & _WORD
        key_0, key_1 = key_0 + 0x9E3779B9 & _WORD, key_1 + 0xBB67AE85 & _WORD
    return a, b, c, d
