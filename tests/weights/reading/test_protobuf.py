"""Protocol buffers, byte for byte."""

import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.weights.reading.protobuf import CHUNK, FIXED32, VARINT, Message
from tests.weights.conftest import chunk, varint


def message(content):
    return Message(memoryview(content), 0, len(content), "x.bin: damaged")


def test_fields_by_number():
    inner = chunk(1, b"name") + varint(2 << 3) + varint(300)
    run = b"".join(b"\x2d" + np.float32(number).tobytes() for number in range(5))
    content = chunk(3, inner) + run + varint(4 << 3) + varint(1 << 40)
    (part, numbers, last) = message(content).fields(3, 5, 4)
    assert [(field, wire) for field, wire, _ in (part, numbers, last)] == [(3, CHUNK), (5, FIXED32), (4, VARINT)]
    name, number = part[2].fields(1, 2)
    assert (name[2].text(), number[2], last[2]) == ("name", 300, 1 << 40)
    np.testing.assert_array_equal(numbers[2].numbers("<f4", tagged=True), np.arange(5))
    assert list(message(content).fields(9)) == []
    assert message(varint(300) + varint(5)).varints(8) == [300, 5]
    assert message(varint(300) * 9).varints(2) == [300, 300]


@pytest.mark.parametrize("content", [b"\xff" * 12, b"\x0a\x7f", b"\x0d\x00", b"\x02\x00", b"\x0b", b"\x80"])
def test_damage_is_told(content):
    with pytest.raises(ModelError, match=r"x\.bin: damaged: "):
        list(message(content).fields(1))


def test_texts_and_numbers_that_are_none():
    for content in (b"\xff\xfe", b"a" * 1001):
        with pytest.raises(ModelError, match="a name"):
            message(content).text()
    with pytest.raises(ModelError, match="in the middle of a number"):
        message(b"abc").numbers("<f4")
