"""Pictures that claim to be huge are refused before they are decoded, and the limit can be set."""

import json

import numpy as np
import pytest

from kseg.cli.main import build_parser, main
from kseg.data import check, load
from kseg.errors import DataError

FILE = "more than the limit of 50,000,000, and were not decoded"


@pytest.fixture
def data(tmp_path, write):
    """Three sound pictures of 20x24, and one of a hundred bytes that claims 400 megapixels."""
    write.folder_pair(tmp_path / "data")
    (tmp_path / "data" / "images" / "p1.png").write_bytes(write.huge_png(20_000, 20_000))
    (tmp_path / "data" / "classes.txt").write_text("a\nb\nc\n")
    return tmp_path / "data"


def test_the_default_is_50_million(data):
    dataset = load("folder", data)
    assert dataset.load(0)[0].shape == (20, 24, 3)
    with pytest.raises(DataError, match=f"p1.png: 20000x20000 pixels are {FILE}"):
        dataset.load(1)
    assert [finding.kind for finding in check(data).findings if finding.fatal] == ["huge"]


def test_another_limit(data):
    assert load("folder", data, max_pixels=480).load(0)[1].shape == (20, 24)
    with pytest.raises(DataError, match="20x24 pixels are more than the limit of 479"):
        load("folder", data, max_pixels=479).load(0)
    (data / "classes.txt").unlink()  # the masks are then read to count the classes
    with pytest.raises(DataError, match="limit of 479"):
        load("folder", data, max_pixels=479)
    kinds = [finding.kind for finding in check(data, max_pixels=479).findings if finding.fatal]
    assert kinds.count("huge") == 6


def test_option(data, capsys):
    assert main(["check-data", str(data), "--max-pixels", "479", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert sum(finding["kind"] == "huge" for finding in found) == 6
    assert (
        main(
            ["check-data", "--data", "folder", "--root", str(data), "--split", "train", "--max-pixels", "480"]
        )
        == 1
    )
    assert "20000x20000 pixels are more than the limit of 480" in capsys.readouterr().out
    lines = {
        "train": ["--model", "x", "--data", "x"],
        "evaluate": ["--model", "x", "--data", "x"],
        "predict": ["x", "--model", "x", "--out", "x"],
    }
    for verb, line in lines.items():
        assert build_parser().parse_args([verb, *line]).max_pixels == 50_000_000
        assert build_parser().parse_args([verb, *line, "--max-pixels", "7"]).max_pixels == 7


def test_tfds_records(tmp_path, write):
    """The header in the record is looked at; tfds would decode it."""
    from types import SimpleNamespace

    import tensorflow as tf

    from kseg.data.sources.tfds_source import TfdsSource

    def record(data):
        feature = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data]))}
        return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()

    small, huge = write.grey_png(np.zeros((3, 4), np.uint8)), write.huge_png(20_000, 20_000)
    with tf.io.TFRecordWriter(str(tmp_path / "records.tfrecord")) as writer:
        writer.write(record(small))
        writer.write(record(huge))
    decoded = {"image": np.zeros((3, 4, 1), np.uint8), "mask": np.zeros((3, 4, 1), np.uint8)}
    part = SimpleNamespace(filename=str(tmp_path / "records.tfrecord"), take=-1, skip=0)
    info = SimpleNamespace(
        name="record",
        file_format=SimpleNamespace(value="tfrecord"),
        features=SimpleNamespace(deserialize_example_np=lambda _: decoded),
        splits={"train": SimpleNamespace(file_instructions=[part], num_examples=2)},
    )
    source = TfdsSource(SimpleNamespace(info=info, data_path=tmp_path), "train", "image", "mask")
    assert source.read(0)[0].shape == (3, 4, 3)
    with pytest.raises(DataError, match=f"record_train_00001: 20000x20000 pixels are {FILE}"):
        source.read(1)
