"""`read_table`: a table of sorted keys and values, which says what a TensorFlow checkpoint holds and where.

Source: TensorFlow, `tensorflow/core/lib/io/table_format.txt`; it is LevelDB's.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kseg.errors import ModelError
from kseg.io.formats.checksum import masked_crc32c
from kseg.weights.reading.protobuf import Message
from kseg.weights.reading.views import MAX_ARRAYS

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER, _TRAILER = 48, 5  # bytes; a trailer is how the block is packed, and its checksum
_NAME = 1000  # letters
# A key is stored as what differs from the key before it: all keys together are a few times the file, not more.
_SMALL, _REPEATS = 1 << 20, 8


def read_table(path: Path) -> dict[bytes, Message]:
    """The values of a table by their keys. A block is believed once its checksum agrees.

    Args:
        path: the file.

    Returns:
        The values in the order of the keys.

    Raises:
        ModelError: not such a table, a damaged or compressed one, or keys that are out of order or too many.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    table = Message(
        content, 0, len(content) - _FOOTER, f"{path}: not the index of a TensorFlow checkpoint, or a damaged one"
    )
    if table.end < 0 or content[-len(_MAGIC) :] != _MAGIC:
        raise ModelError(table.what)
    handles = Message(content, table.end, len(content) - len(_MAGIC), table.what).varints(4)
    values: dict[bytes, Message] = {}
    end, last, letters = 0, None, 0
    for _, handle in _entries(_block(table, handles[2:])):
        block = _block(table, handle.varints(2))
        if block.start < end:
            raise ModelError(f"{table.what}: its blocks overlap")
        end = block.end
        for key, value in _entries(block):
            letters += len(key)
            if (last is not None and key <= last) or len(values) >= MAX_ARRAYS:
                raise ModelError(f"{table.what}: its keys are out of order, or too many")
            if letters > max(_SMALL, _REPEATS * len(content)):
                raise ModelError(f"{table.what}: its {len(content):,} bytes claim {letters:,} letters of names")
            values[key] = value
            last = key
    return values


def _block(table: Message, handle: list[int]) -> Message:
    """A block by its handle, which is where it starts and its length."""
    start, length = handle if len(handle) == 2 else (0, table.end)
    if start + length + _TRAILER > table.end:
        raise ModelError(f"{table.what}: a block reaches beyond the file")
    block = memoryview(table.content)[start : start + length + _TRAILER]
    if masked_crc32c(block[: length + 1]) != int.from_bytes(block[-4:], "little"):
        raise ModelError(f"{table.what}: the checksum of a block does not agree")
    if block[length] != 0:
        raise ModelError(f"{table.what}: it is compressed, which TensorFlow's checkpoints are not")
    return Message(table.content, start, start + length, table.what)


def _entries(block: Message) -> Iterator[tuple[bytes, Message]]:
    """The keys and values of a block. Behind them stand places to start reading from, and their count."""
    content, key, position = block.content, b"", block.start
    end = block.end - 4 * (1 + int.from_bytes(content[max(block.end - 4, block.start) : block.end], "little"))
    while position < end:
        shared, position = block.varint(position)
        own, position = block.varint(position)
        length, position = block.varint(position)
        begin = position + own
        if shared > len(key) or shared + own > _NAME or begin + length > end:
            raise ModelError(f"{block.what}: an entry reaches beyond its block, or has a name of no sound length")
        key, position = key[:shared] + content[position:begin], begin + length
        yield key, Message(content, begin, position, block.what)
