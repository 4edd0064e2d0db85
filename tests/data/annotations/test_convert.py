import numpy as np
import pytest

from kseg.data import check, convert, from_arrays, load
from kseg.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (10, 6, 7, 3), dtype=np.uint8)
Y = RNG.integers(0, 3, (10, 6, 7), dtype=np.uint8)
Y[:, 0, 0] = 255
CLASSES = ["road", "traffic light, red", "car"]


def sorted_sums(dataset):
    return sorted((int(image.sum()), int(mask.sum())) for image, mask in dataset)


def test_a_folder_that_everything_reads(tmp_path):
    dataset = from_arrays(X, Y, classes=CLASSES, palette=[(1, 1, 1), (200, 0, 0), (0, 0, 200)])
    out = convert(dataset, tmp_path / "out", val=0.3, seed=1)
    train, val = (load("folder", out, split) for split in ("train", "val"))
    assert (len(train), len(val), train.classes) == (7, 3, tuple(CLASSES))
    assert train.palette == dataset.palette
    assert sorted_sums(train + val) == sorted_sums(dataset)
    assert check(out).ok


def test_files_are_copied_as_they_are(tmp_path, write):
    write.folder_pair(tmp_path / "in")
    data = load("folder", tmp_path / "in")
    out = convert(data[1:], tmp_path / "out")
    for name in ("p1.png", "p2.png"):
        assert (out / "images/train" / name).read_bytes() == (tmp_path / "in/images" / name).read_bytes()
    np.testing.assert_array_equal(load("folder", out)[0][1], data[1][1])


def test_files_of_joined_data_sets_are_copied_too(tmp_path, write):
    for seed, folder in enumerate(("one", "two")):
        write.folder_pair(tmp_path / folder, seed=seed)
    data = load("folder", tmp_path / "one") + load("folder", tmp_path / "two")
    out = convert(data, tmp_path / "out", val=0.4)
    written = sorted(path.read_bytes() for path in (out / "images").rglob("*.*"))
    assert written == sorted(path.read_bytes() for path in tmp_path.glob("*/images/*.*") if path.is_file())


def test_equal_names_and_equal_colours(tmp_path):
    one = from_arrays(X[:2], Y[:2], classes=CLASSES, palette=[(0, 0, 0)] * 3)
    out = convert(one + one, tmp_path / "out")
    again = load("folder", out)
    assert sorted_sums(again) == sorted_sums(one + one)
    assert len(list((out / "images/train").iterdir())) == 4


def test_several_splits(tmp_path):
    parts = from_arrays(X, Y, classes=CLASSES).split(0.2)
    out = convert(parts, tmp_path / "out")
    assert [len(load("folder", out, split)) for split in ("train", "val")] == [8, 2]
    with pytest.raises(DataError, match="different classes"):
        convert([parts[0], parts[1].remap({"car": "bus"})], tmp_path / "other")


def test_nothing_is_overwritten(tmp_path):
    dataset = from_arrays(X, Y, classes=CLASSES)
    (tmp_path / "x").write_text("mine")
    for out in (tmp_path, tmp_path / "x"):
        with pytest.raises(DataError, match="exists already"):
            convert(dataset, out)
