"""Files as TensorFlow writes them."""

import os

import pytest
import tensorflow as tf

from kseg.data.reading.tfrecord import read_record, record_offsets
from kseg.errors import DataError

RECORDS = [b"first", b"", bytes(range(256)) * 3]


@pytest.fixture
def path(tmp_path):
    name = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(name) as writer:
        for record in RECORDS:
            writer.write(record)
    return name


def test_records_of_tensorflow(path):
    assert [read_record(path, *place) for place in record_offsets(path)] == RECORDS


def test_no_flipped_bit_passes(path, tmp_path):
    with open(path, "rb") as file:
        content = file.read()
    damaged = str(tmp_path / "b.tfrecord")
    for at in [*range(60), *range(60, len(content), 37), *range(len(content) - 4, len(content))]:
        flipped = bytearray(content)
        flipped[at] ^= 1 << (at % 8)
        with open(damaged, "wb") as file:
            file.write(flipped)
        try:
            places = record_offsets(damaged)
        except DataError as error:
            assert damaged in str(error)  # noqa: PT017 (either a wrong length is told, or a wrong record)
            continue
        read = [read_record(damaged, *place) for place in places]
        assert [record for record in read if record is not None] != RECORDS
        assert len(read) == len(RECORDS)
        assert read.count(None) == 1


def test_a_file_cut_short(path, tmp_path):
    with open(path, "rb") as file:
        content = file.read()
    short = tmp_path / "c.tfrecord"
    for end in (len(content) - 1, len(content) - 790, 30, 5):
        short.write_bytes(content[:end])
        with pytest.raises(DataError, match=r"c\.tfrecord: cut short"):
            record_offsets(str(short))


def test_files_that_are_gone_or_no_files(path, tmp_path):
    (start, length), *_ = record_offsets(path)
    os.mkfifo(tmp_path / "pipe")
    for place, words in (
        (tmp_path / "gone", "no such file"),
        (tmp_path, "regular"),
        (tmp_path / "pipe", "regular"),
    ):
        with pytest.raises(DataError, match=words):
            record_offsets(str(place))
    with pytest.raises(DataError, match="gone: no such file"):  # taken away while a training runs
        read_record(str(tmp_path / "gone"), start, length)
