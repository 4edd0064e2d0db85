"""Data sets made to reach other files: by links, `..` and absolute paths."""

import json

import pytest

from kseg.data import check, load
from kseg.data.reading.links import stay_inside
from kseg.errors import DataError


@pytest.fixture
def secret(tmp_path, write):
    """A sound data set beside the hostile one, whose files nobody was given."""
    write.folder_pair(tmp_path / "secret")
    return tmp_path / "secret"


def test_links_inside_of_the_folder_and_a_linked_root(tmp_path, write):
    write.folder_pair(tmp_path / "data")
    image = tmp_path / "data" / "images" / "p0.png"
    image.rename(tmp_path / "data" / "elsewhere.png")
    image.symlink_to("../elsewhere.png")
    (tmp_path / "root").symlink_to(tmp_path / "data")
    for root in (tmp_path / "data", tmp_path / "root"):
        assert len(load("folder", root)) == 3


@pytest.mark.parametrize("place", ["images", "images/p1.png", "masks/p1.png", "classes.txt"])
def test_links_that_lead_out(tmp_path, write, secret, monkeypatch, place):
    (secret / "classes.txt").write_text("a\nb\nc\n")
    data = tmp_path / "data"
    write.folder_pair(data)
    target = data / place
    if target.is_dir():
        target.rename(tmp_path / "aside")
    target.unlink(missing_ok=True)
    target.symlink_to(secret / place)
    with pytest.raises(DataError, match=r"leads out of the data set's folder, to .*secret"):
        load("folder", data)
    if place == "classes.txt":
        with pytest.raises(DataError, match="leads out"):
            check(data)
    else:
        assert any(finding.kind == "link" for finding in check(data).findings)
    monkeypatch.setenv("KSEG_FOLLOW_LINKS", "1")
    assert len(load("folder", data)) == 3


def test_a_neighbour_with_the_same_beginning_is_outside(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data2").mkdir()
    (tmp_path / "data2" / "x.png").write_bytes(b"")
    (tmp_path / "data" / "x.png").symlink_to(tmp_path / "data2" / "x.png")
    for path in (
        tmp_path / "data" / "x.png",
        tmp_path / "data" / ".." / "data2" / "x.png",
        tmp_path / "data2" / "x.png",
    ):
        with pytest.raises(DataError, match="data2"):
            stay_inside(tmp_path / "data", [path])


@pytest.mark.parametrize(
    "entry", ["../../../secret/images/p0", "/etc/passwd", "..\\..\\secret", "C:/x", "a\0b"]
)
def test_voc_lists(tmp_path, entry):
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text(entry + "\n")
    with pytest.raises(DataError, match="leads out of"):
        load("voc", tmp_path)
    (lists / "train.txt").write_text(f"/JPEGImages/../../x.jpg {entry}.png\n")
    with pytest.raises(DataError, match="leads out of"):
        load("voc", tmp_path)


def test_split_names(tmp_path, secret, write):
    (tmp_path / "camvid" / "trainannot").mkdir(parents=True)
    with pytest.raises(DataError, match="leads out of"):
        load("camvid", tmp_path / "camvid", "../secret/images")
    lists = tmp_path / "VOC2012" / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (tmp_path / "names.txt").write_text("a\n")
    with pytest.raises(DataError, match="leads out of"):
        load("voc", tmp_path / "VOC2012", "../../../names")
    with pytest.raises(DataError, match="no split"):
        load("folder", secret, "../../secret/images")


def test_tfds_names_and_features(tmp_path):
    with pytest.raises(DataError, match="leads out of"):
        load("tfds:../elsewhere", tmp_path)
    folder = tmp_path / "hostile" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text('{"name": "hostile", "version": "1.0.0"}')
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    for key in ("pythonClassName", "python_class_name", "type", "\\u0070ythonClassName"):
        features = json.dumps({"x": [{"KEY": "evil_module.Feature"}]}).replace("KEY", key)
        (folder / "features.json").write_text(features)
        with pytest.raises(DataError, match="was not imported"):
            load("tfds:hostile", tmp_path)


def test_special_files_are_no_pictures(tmp_path, write):
    import os

    write.folder_pair(tmp_path)
    (tmp_path / "images" / "p0.png").unlink()
    os.mkfifo(tmp_path / "images" / "p0.png")
    with pytest.raises(DataError, match="not a regular file"):
        load("folder", tmp_path).load(0)


def test_files_far_larger_than_pictures_are_not_read(tmp_path):
    from kseg.data import read_image

    with open(tmp_path / "a.png", "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(1 << 40)  # a hole; takes no space
    with pytest.raises(DataError, match="not read"):
        read_image(tmp_path / "a.png")
