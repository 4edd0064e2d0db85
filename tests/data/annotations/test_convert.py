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


def test_classes_that_overlap_and_other_channels(tmp_path):
    x = RNG.integers(0, 5000, (4, 6, 7, 5)).astype(np.uint16)
    y = RNG.integers(0, 2, (4, 6, 7, 2), dtype=np.uint8)
    kind = {"channels": 5, "value_range": (0, 5000), "multilabel": True}
    dataset = from_arrays(x, y, classes=["a/b", "c"], **kind)
    again = load("folder", convert(dataset, tmp_path / "out"))
    assert (again.channels, again.value_range, again.multilabel) == (5, (0, 5000), True)
    assert (again.classes, again.palette) == (dataset.classes, dataset.palette)
    for (image, masks), (stored, read) in zip(dataset, again, strict=True):
        np.testing.assert_array_equal(stored, image)
        np.testing.assert_array_equal(read, masks)
    assert check(tmp_path / "out").ok
    with pytest.raises(DataError, match=r"'\.\./c' cannot be the name of a folder"):
        convert(from_arrays(x, y, classes=["a", "../c"], **kind), tmp_path / "other")


def test_one_class_alone_is_refused(tmp_path):
    with pytest.raises(DataError, match="tree is its only class"):
        convert(from_arrays(X, Y * 0, classes=["tree"]), tmp_path / "out")
