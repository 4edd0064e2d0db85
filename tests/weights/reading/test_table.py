"""LevelDB's tables, written by hand."""

import struct

import pytest

from kseg.errors import ModelError
from kseg.weights.reading.table import read_table
from tests.weights.conftest import sorted_table, varint


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.index"


def values_of(path):
    return {key: bytes(one.content[one.start : one.end]) for key, one in read_table(path).items()}


def test_keys_and_values(path):
    entries = {b"": b"head", b"scope/a": b"", b"scope/a/kernel": bytes(300), b"scope/b": b"\xff"}
    for of_a_block in (1, 3, 4):
        path.write_bytes(sorted_table(entries.items(), of_a_block=of_a_block))
        assert values_of(path) == entries


def test_no_flipped_bit_changes_what_is_read(path):
    entries = {b"a": b"1", b"b": b"2"}
    content, refused = sorted_table(entries.items(), of_a_block=1), 0
    for at in range(0, len(content), 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            assert values_of(path) == entries  # the block of filters and the filling, which nobody needs
        except ModelError:
            refused += 1
        path.write_bytes(content[:at])
        with pytest.raises(ModelError, match="not the index"):
            read_table(path)
    assert refused > len(content) // 6


def entry(shared, name, value, own=None, length=None):
    own, length = len(name) if own is None else own, len(value) if length is None else length
    return varint(shared) + varint(own) + varint(length) + name + value


ENDS = struct.pack("<II", 0, 1)


@pytest.mark.parametrize(
    "block",
    [
        entry(0, b"b", b"1") + entry(0, b"a", b"2") + ENDS,
        entry(0, b"a", b"1") + entry(0, b"a", b"2") + ENDS,
        entry(1, b"a", b"1") + ENDS,
        entry(0, b"a", b"1", length=9) + ENDS,
        entry(0, b"a", b"1", own=1 << 60) + ENDS,
        entry(0, b"a" * 1001, b"1") + ENDS,
        entry(0, b"a", b"1") + struct.pack("<I", 1),
        entry(0, b"a", b"1") + b"\xff" * 11 + ENDS,
    ],
)
def test_blocks_that_lie(path, block):
    path.write_bytes(sorted_table([], lambda _: block))
    with pytest.raises(ModelError, match="not the index"):
        read_table(path)


def test_names_that_grow_beyond_the_file(path):
    """Each of 256 letters added to a name of 900 takes four bytes of the file."""
    block = entry(0, b"a" * 900, b"")
    block += b"".join(entry(900, struct.pack(">H", number), b"") for number in range(20000)) + ENDS
    path.write_bytes(sorted_table([], lambda _: block))
    with pytest.raises(ModelError, match="letters of names"):
        read_table(path)
