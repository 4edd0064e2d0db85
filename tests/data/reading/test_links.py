"""Data sets made to reach other files: by links, `..` and absolute paths."""

import json
import os

import numpy as np
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
    kind = "class list" if place == "classes.txt" else "link"
    assert any(found.kind == kind and "leads out" in found.message for found in check(data).findings)
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


def voc_list(root):
    return root / "ImageSets" / "Segmentation" / "train.txt", lambda: load("voc", root)


def sbd_list(root):
    (root / "cls").mkdir(parents=True)
    (root / "ImageSets" / "Segmentation").mkdir(parents=True)
    (root / "val.txt").write_text("a\n")
    return root / "train.txt", lambda: load("voc", root, "sbd_train")


def pet_list(root):
    for part in ("annotations/trimaps", "images"):
        (root / part).mkdir(parents=True)
    return root / "annotations" / "trainval.txt", lambda: load("oxford_iiit_pet", root)


def class_list(root):
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    return root / "classes.txt", lambda: load("folder", root)


@pytest.mark.parametrize("make", [voc_list, sbd_list, pet_list, class_list])
def test_lists_that_are_links_pipes_or_giants(tmp_path, make):
    """What a list holds stands in messages: no link may make it another file, such as one of passwords."""
    (tmp_path / "passwords").write_text("hush 1\n")
    path, read = make(tmp_path / "data")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(tmp_path / "passwords")
    with pytest.raises(DataError, match=r"leads out of the data set's folder, to .*passwords") as told:
        read()
    assert "hush" not in str(told.value)
    path.unlink()
    with open(path, "wb") as file:
        file.truncate(1 << 42)  # a hole; takes no space
    with pytest.raises(DataError, match="bytes are more than a list or text needs"):
        read()
    path.unlink()
    if make is not class_list:  # which is optional
        os.mkfifo(path)
        with pytest.raises(DataError, match=r"not a regular file|no list train|no train\.txt"):
            read()


def test_what_lies_beside_the_masks(tmp_path):
    from kseg.data import Dataset, Sample
    from kseg.data.objects import find_objects

    mask = tmp_path / "voc" / "SegmentationClass" / "a.png"
    dataset = Dataset("two", "train", ("a", "b"), ((0, 0, 0), (9, 9, 9)), (Sample(mask, mask),))
    for folder, name in (("Annotations", "a.xml"), ("SegmentationObject", "a.png")):
        (tmp_path / name).write_text("hush")
        (tmp_path / "voc" / folder).mkdir(parents=True)
        (tmp_path / "voc" / folder / name).symlink_to(tmp_path / name)
        with pytest.raises(DataError, match=rf"{folder}/{name}: leads out of"):
            find_objects(dataset, 0, np.zeros((4, 4), np.uint8))


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
