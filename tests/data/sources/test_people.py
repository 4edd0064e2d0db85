import cv2
import numpy as np
import pytest

from kseg.data import load
from kseg.data.sources.people import VARIANTS
from kseg.errors import DataError


@pytest.fixture
def both(tmp_path):
    voc = tmp_path / "voc_people" / "VOCdevkit" / "VOC2012"
    ccp = tmp_path / "ccp_people"
    rng = np.random.default_rng(0)
    for folder in (voc / "JPEGImages", voc / "SegmentationClass", voc / "ImageSets" / "Segmentation"):
        folder.mkdir(parents=True)
    for folder in (ccp / "images", ccp / "masks"):
        folder.mkdir(parents=True)
    mask = np.zeros((80, 60), np.uint8)
    mask[20:80, 20:45] = 15
    mask[18:20] = 255
    mask[:10, 50:] = 1  # an aeroplane: background here
    for name, times in (("a", 1), ("b", 4)):
        cv2.imwrite(
            str(voc / "JPEGImages" / f"{name}.jpg"), rng.integers(0, 256, (80 * times, 60 * times, 3))
        )
        cv2.imwrite(
            str(voc / "SegmentationClass" / f"{name}.png"), np.kron(mask, np.ones((times, times), np.uint8))
        )
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("a\n")
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("b\n")
    for i in range(10):
        cv2.imwrite(str(ccp / "images" / f"{i:02d}.jpg"), rng.integers(0, 256, (90, 60, 3)))
        cv2.imwrite(
            str(ccp / "masks" / f"{i:02d}.png"), np.pad(np.ones((60, 20), np.uint8), ((15, 15), (20, 20)))
        )
    return tmp_path


def test_both_sources_and_their_ids(both):
    plain, val = load("people", both, "train_plain"), load("people", both, "val_plain")
    assert (len(plain), len(val)) == (1 + 9, 1 + 1)
    assert plain.classes == ("background", "person")
    _, mask = plain.load(0)
    assert (mask[30:, 25:40] == 1).all()
    assert (mask[18:20] == 255).all()
    assert (mask[:10, 50:] == 0).all()
    _, mask = plain.load(1)
    assert mask.sum() == 60 * 20
    assert val.name_of(1) == "09"
    assert not {plain.name_of(i) for i in range(10)} & {val.name_of(i) for i in range(2)}


def test_training_frames_every_picture_many_times_and_the_same_way(both):
    train = load("people", both, "train")
    assert len(train) == VARIANTS * 10
    image, mask = train.load(3)
    assert image.shape == (256, 256, 3)
    again = load("people", both, "train").load(3)
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(mask, again[1])
    different = train.load(13)
    assert (different[0] != image).any()
    shares = [(train.load(i)[1] == 1).mean() for i in range(80)]
    assert min(shares) == 0  # empty ones among them
    assert max(shares) > 0.3


def test_pictures_without_people_are_of_other_things(both):
    """VOC's aeroplane is what a window without people stands over where one is asked for."""
    photos = load("people", both, "train").samples.photos
    np.testing.assert_array_equal(photos.things(0), np.pad(np.ones((10, 10), np.uint8), ((0, 70), (50, 0))))
    assert photos.things(1) is None
    image, _ = photos.read(0)
    (both / "voc_people" / "VOCdevkit" / "VOC2012" / "JPEGImages" / "a.jpg").unlink()
    np.testing.assert_array_equal(photos.read(0)[0], image)  # decoded once


def test_validation_holds_whole_pictures_and_portraits(both):
    val, plain = load("people", both, "val"), load("people", both, "val_plain")
    assert len(val) == 2 * len(plain)
    assert [val.name_of(i) for i in (0, 2)] == ["b_whole", "b_portrait"]
    whole, portrait = val.load(0)[1], val.load(2)[1]
    assert whole.shape == portrait.shape
    assert (portrait == 1).mean() != (whole == 1).mean()


def test_validation_has_portraits_and_empty_parts_by_themselves(both):
    mask = np.zeros((400, 300), np.uint8)
    mask[60:390, 100:180] = 1
    cv2.imwrite(str(both / "ccp_people" / "masks" / "09.png"), mask)
    cv2.imwrite(str(both / "ccp_people" / "images" / "09.jpg"), np.zeros((400, 300, 3), np.uint8))
    portraits, val = load("people", both, "val_portraits"), load("people", both, "val")
    assert [portraits.name_of(i) for i in range(len(portraits))] == [
        "b_portrait",
        "09_portrait",
    ]
    np.testing.assert_array_equal(portraits.load(1)[1], val.load(3)[1])
    empty = load("people", both, "val_empty")
    assert len(empty) > 0
    assert not any((empty.load(i)[1] == 1).any() for i in range(len(empty)))


def test_one_source_is_enough_and_none_is_named(both, tmp_path):
    assert len(load("people", both / "ccp_people", "train_plain")) == 9
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected voc_people"):
        load("people", tmp_path / "empty")
    with pytest.raises(DataError, match="no split 'test'"):
        load("people", both, "test")


@pytest.mark.realdata
def test_real_counts(real_data):
    assert len(load("people", real_data, "train_plain")) == 561 + 904
    assert len(load("people", real_data, "val_plain")) == 78 + 100
