"""Cityscapes in the layout of its archives."""

import cv2
import numpy as np
import pytest

from kseg.data import load
from kseg.data.sources.cityscapes import CLASSES, PALETTE
from kseg.errors import DataError

# name, id, train id and colour of the evaluated classes, from cityscapesScripts' helpers/labels.py
OFFICIAL = """
road 7 0 128,64,128
sidewalk 8 1 244,35,232
building 11 2 70,70,70
wall 12 3 102,102,156
fence 13 4 190,153,153
pole 17 5 153,153,153
traffic_light 19 6 250,170,30
traffic_sign 20 7 220,220,0
vegetation 21 8 107,142,35
terrain 22 9 152,251,152
sky 23 10 70,130,180
person 24 11 220,20,60
rider 25 12 255,0,0
car 26 13 0,0,142
truck 27 14 0,0,70
bus 28 15 0,60,100
train 31 16 0,80,100
motorcycle 32 17 0,0,230
bicycle 33 18 119,11,32
"""
PICTURES = {
    "train": ("aachen_000000_000019", "aachen_000001_000019", "bochum_000000_000313"),
    "val": ("frankfurt_000000_000294",),
    "test": ("berlin_000000_000019",),
    "train_extra": ("augsburg_000000_000000", "bad-honnef_000000_000000"),
}


@pytest.fixture
def unpacked(tmp_path):
    stored = np.arange(34, dtype=np.uint8).reshape(2, 17)
    for split, stems in PICTURES.items():
        kinds = ["gtFine"] if split != "train_extra" else []
        kinds += ["gtCoarse"] if split != "test" else []
        for stem in stems:
            city = stem.split("_")[0]
            folder = tmp_path / "leftImg8bit" / split / city
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{stem}_leftImg8bit.png"), np.zeros((2, 17, 3), np.uint8))
            for kind in kinds:
                folder = tmp_path / kind / split / city
                folder.mkdir(parents=True, exist_ok=True)
                labels = stored if kind == "gtFine" else stored[::-1]
                cv2.imwrite(str(folder / f"{stem}_{kind}_labelIds.png"), labels)
                cv2.imwrite(str(folder / f"{stem}_{kind}_instanceIds.png"), labels.astype(np.uint16) * 1000)
                cv2.imwrite(str(folder / f"{stem}_{kind}_color.png"), np.zeros((2, 17, 4), np.uint8))
                (folder / f"{stem}_{kind}_polygons.json").write_text(
                    '{"imgHeight": 2, "imgWidth": 17, "objects": []}'
                )
    return tmp_path


def official():
    lines = [line.split() for line in OFFICIAL.strip().splitlines()]
    return [(n.replace("_", " "), int(i), int(t), tuple(map(int, c.split(",")))) for n, i, t, c in lines]


def test_34_ids_become_the_19_official_classes(unpacked):
    rows = official()
    assert tuple(row[0] for row in rows) == CLASSES
    assert tuple(row[3] for row in rows) == PALETTE
    expected = np.full(34, 255)
    for _, stored, label, _ in rows:
        expected[stored] = label
    np.testing.assert_array_equal(load("cityscapes", unpacked).load(0)[1].ravel(), expected)


@pytest.mark.parametrize(
    ("split", "count"),
    [
        ("train", 3),
        ("val", 1),
        ("test", 1),
        ("trainval", 4),
        ("train_coarse", 3),
        ("train_extra", 2),
        ("train_all", 5),
    ],
)
def test_splits(unpacked, split, count):
    dataset = load("cityscapes", unpacked, split)
    assert len(dataset) == count
    for index in range(count):
        image, labels = dataset.load(index)
        assert image.shape[:2] == labels.shape
        coarse = dataset.samples[index].mask.name.endswith("_gtCoarse_labelIds.png")
        assert coarse == (split in ("train_coarse", "train_extra") or (split == "train_all" and index >= 3))
        assert labels[1 - coarse, -1] == 18  # the coarse masks above are upside down
    assert dataset.name_of(0).startswith(PICTURES.get(split.split("_co")[0], ("aachen",))[0])


def test_files_that_a_mac_leaves_beside_the_pictures(unpacked):
    stem = unpacked / "leftImg8bit" / "val" / "frankfurt" / "._frankfurt_000000_000294_leftImg8bit.png"
    stem.write_bytes(b"\0\5\x16\7")
    assert len(load("cityscapes", unpacked, "val")) == 1


def test_a_label_outside_the_34_names_its_file(unpacked):
    path = unpacked / "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_labelIds.png"
    cv2.imwrite(str(path), np.full((2, 17), 34, np.uint8))
    with pytest.raises(
        DataError, match=r"frankfurt_000000_000294_gtFine_labelIds\.png: class id 34 in the mask"
    ):
        load("cityscapes", unpacked, "val").load(0)


def test_wrong_layouts_say_what_was_expected_and_found(unpacked):
    (unpacked / "gtFine/train/bochum/bochum_000000_000313_gtFine_labelIds.png").unlink()
    with pytest.raises(
        DataError, match=r"bochum_000000_000313_leftImg8bit\.png: no mask found; expected .*labelIds\.png"
    ):
        load("cityscapes", unpacked)
    assert len(load("cityscapes", unpacked, complete=False)) == 3
    with pytest.raises(DataError, match="cityscapes has no split 'dev'; it has train, val, test"):
        load("cityscapes", unpacked, "dev")
    (unpacked / "gtCoarse").rename(unpacked / "coarse")
    with pytest.raises(
        DataError, match=r"no folder gtCoarse/; expected .*, and found coarse/, gtFine/, leftImg8bit/"
    ):
        load("cityscapes", unpacked, "train_extra")
    (unpacked / "gtFine/val").rename(unpacked / "gtFine/validation")
    with pytest.raises(
        DataError, match=r"gtFine: no folder val/; expected .*found test/, train/, validation/"
    ):
        load("cityscapes", unpacked, "val")
    for picture in (unpacked / "leftImg8bit/test").rglob("*.png"):
        picture.unlink()
    with pytest.raises(DataError, match=r"no images CITY/\*_leftImg8bit\.png"):
        load("cityscapes", unpacked, "test")
