"""The framed people: a sample is a function of its number, and each kind of framing shows what it says."""

import importlib
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from kseg import export, models
from kseg.data import load

TOOLS = Path(__file__).resolve().parents[3] / "tools" / "people"


@pytest.fixture
def framed(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    yield importlib.import_module("framed")
    for name in ("framed", "framing"):
        sys.modules.pop(name, None)


def test_training_frames_every_image_many_times_and_the_same_way(framed, people_root):
    train = framed.framed_people(people_root, "train")
    assert len(train) == framed.VARIANTS * 10
    image, mask = train.load(3)
    assert image.shape == (256, 256, 3)
    again = framed.framed_people(people_root, "train").load(3)
    np.testing.assert_array_equal(image, again[0])
    np.testing.assert_array_equal(mask, again[1])
    different = train.load(13)
    assert (different[0] != image).any()
    shares = [(train.load(i)[1] == 1).mean() for i in range(80)]
    assert min(shares) == 0  # empty ones among them
    assert max(shares) > 0.3


def test_images_without_people_are_of_other_things(framed, people_root):
    """VOC's aeroplane is what a window without people stands over where one is asked for."""
    photos = framed.framed_people(people_root, "train").samples.photos
    np.testing.assert_array_equal(photos.things(0), np.pad(np.ones((10, 10), np.uint8), ((0, 70), (50, 0))))
    assert photos.things(1) is None
    image, _ = photos.read(0)
    (people_root / "voc_people" / "VOCdevkit" / "VOC2012" / "JPEGImages" / "a.jpg").unlink()
    np.testing.assert_array_equal(photos.read(0)[0], image)  # decoded once


def test_validation_holds_whole_images_and_portraits(framed, people_root):
    val, plain = framed.framed_people(people_root, "val"), load("people", people_root, "val")
    assert len(val) == 2 * len(plain)
    assert [val.name_of(i) for i in (0, 2)] == ["b_whole", "b_portrait"]
    whole, portrait = val.load(0)[1], val.load(2)[1]
    assert whole.shape == portrait.shape
    assert (portrait == 1).mean() != (whole == 1).mean()


def test_validation_has_portraits_and_empty_parts_by_themselves(framed, people_root):
    mask = np.zeros((400, 300), np.uint8)
    mask[60:390, 100:180] = 1
    cv2.imwrite(str(people_root / "ccp_people" / "masks" / "09.png"), mask)
    cv2.imwrite(str(people_root / "ccp_people" / "images" / "09.jpg"), np.zeros((400, 300, 3), np.uint8))
    portraits, val = (
        framed.framed_people(people_root, "val_portraits"),
        framed.framed_people(people_root, "val"),
    )
    assert [portraits.name_of(i) for i in range(len(portraits))] == [
        "b_portrait",
        "09_portrait",
    ]
    np.testing.assert_array_equal(portraits.load(1)[1], val.load(3)[1])
    empty = framed.framed_people(people_root, "val_empty")
    assert len(empty) > 0
    assert not any((empty.load(i)[1] == 1).any() for i in range(len(empty)))


@pytest.mark.realdata
def test_people_score_on_val_what_their_card_says(framed, real_data):
    """Counted here once more, by hand, on the portraits and on parts without people."""
    scores = models.presets()["people"]["scores"]
    fast = export.load(models.preset_file("people", "int8"))
    for split in ("val_portraits", "val_empty"):
        data, both, either, found, empty = framed.framed_people(real_data, split), 0, 0, 0, 0
        for index in range(len(data)):
            image, labels = data.load(index)
            logits = np.asarray(fast(image[None].astype("float32")))[0]
            person, valid = logits[..., 1] > logits[..., 0], labels != 255
            both += (person & (labels == 1) & valid).sum()
            either += ((person | (labels == 1)) & valid).sum()
            found, empty = found + (person & (labels == 0)).sum(), empty + (labels == 0).sum()
        if split == "val_portraits":
            assert both / either == pytest.approx(scores[split]["class_iou"]["person"], abs=1e-3)
        else:
            assert 1 - found / empty == pytest.approx(scores[split]["class_iou"]["background"], abs=1e-3)
            assert found / empty < 0.015
