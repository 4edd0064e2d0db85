import cv2
import numpy as np
import pytest

from kseg.data import load
from kseg.errors import DataError
from kseg.io.colour_map import colour_map


@pytest.fixture
def devkit(tmp_path, write):
    root = tmp_path / "VOCdevkit" / "VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "SegmentationClassAug", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    for index, name in enumerate(["2007_000001", "2007_000002", "2008_000003"]):
        cv2.imwrite(str(root / "JPEGImages" / f"{name}.jpg"), np.zeros((4, 6, 3), np.uint8))
        mask = np.full((4, 6), [5, 15, 20][index], np.uint8)
        mask[0] = 255
        (root / "SegmentationClass" / f"{name}.png").write_bytes(write.indexed_png(mask, colour_map(256)))
        cv2.imwrite(str(root / "SegmentationClassAug" / f"{name}.png"), np.full((4, 6), index, np.uint8))
    lists = root / "ImageSets" / "Segmentation"
    (lists / "train.txt").write_text("2007_000001\n2007_000002\n")
    (lists / "val.txt").write_text("2008_000003\n")
    (lists / "train_aug.txt").write_text(
        "".join(
            f"/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png\n" for n in ("2007_000001", "2008_000003")
        )
    )
    return root


def test_lists_and_palette_masks(devkit):
    train = load("voc", devkit.parent.parent)
    assert (len(train), train.num_classes) == (2, 21)
    np.testing.assert_array_equal(train.load(1)[1], [[255] * 6] + [[15] * 6] * 3)
    assert train.classes[15] == "person"
    assert len(load("voc", devkit.parent, "trainval")) == 3
    assert load("voc", devkit, "val").name_of(0) == "2008_000003"


def test_augmented_list_in_both_spellings(devkit):
    dataset = load("voc", devkit, "train_aug")
    np.testing.assert_array_equal(dataset.load(1)[1], np.full((4, 6), 2))
    (devkit / "ImageSets/Segmentation/train_aug.txt").unlink()
    (devkit / "ImageSets/Segmentation/trainaug.txt").write_text("2007_000002\n")
    np.testing.assert_array_equal(load("voc", devkit, "train_aug").load(0)[1], np.full((4, 6), 1))


def test_what_is_missing_is_named(devkit, tmp_path):
    with pytest.raises(DataError, match=r"no list test\.txt; found the lists train, train_aug, val"):
        load("voc", devkit, "test")
    with pytest.raises(DataError, match="expected VOCdevkit/VOC2012"):
        load("voc", devkit / "JPEGImages")
    (devkit / "SegmentationClass/2007_000002.png").unlink()
    with pytest.raises(DataError, match=r"2007_000002\.png: no such file"):
        load("voc", devkit)
    (devkit / "ImageSets/Segmentation/val.txt").write_text("\n")
    with pytest.raises(DataError, match=r"val\.txt: the list is empty"):
        load("voc", devkit, "val")


@pytest.mark.realdata
def test_real_lists(real_data):
    train, val = (load("voc", real_data / "voc_people", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (561, 78)
    for index in range(len(val)):
        _, mask = val.load(index)
        ids = set(np.unique(mask))
        assert ids <= {*range(21), 255}
        assert 15 in ids  # every picture holds a person
