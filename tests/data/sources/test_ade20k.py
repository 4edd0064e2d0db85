"""ADE20K in the layout of ADEChallengeData2016.zip."""

import cv2
import numpy as np
import pytest

from kseg.data import load
from kseg.data.sources.ade20k import CLASSES, PALETTE
from kseg.errors import DataError


@pytest.fixture
def unpacked(tmp_path):
    root = tmp_path / "ADEChallengeData2016"
    for folder, name, count in (("training", "train", 3), ("validation", "val", 2)):
        for part in ("images", "annotations"):
            (root / part / folder).mkdir(parents=True)
        for index in range(1, count + 1):
            stem = f"ADE_{name}_{index:08d}"
            mask = np.arange(15 * 11).reshape(15, 11) % 151
            cv2.imwrite(
                str(root / "images" / folder / f"{stem}.jpg"), np.full((15, 11, 3), 40 * index, np.uint8)
            )
            cv2.imwrite(str(root / "annotations" / folder / f"{stem}.png"), mask.astype(np.uint8))
    (root / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tStuff\tName\n")
    (root / "sceneCategories.txt").write_text("ADE_train_00000001 airport_terminal\n")
    return root


def test_labels_are_shifted_and_zero_is_ignored(unpacked):
    for root in (unpacked, unpacked.parent):
        train, val = load("ade20k", root), load("ade20k", root, "val")
        assert (len(train), len(val), train.num_classes) == (3, 2, 150)
        assert (train.name_of(0), val.name_of(1)) == ("ADE_train_00000001", "ADE_val_00000002")
    image, labels = val.load(1)
    stored = np.arange(15 * 11).reshape(15, 11) % 151
    expected = np.where(stored == 0, 255, stored - 1)
    assert image.shape == (15, 11, 3)
    np.testing.assert_array_equal(labels, expected)
    assert labels.max(where=labels != 255, initial=0) == 149


def test_classes_are_those_of_the_challenge():
    # rows of objectInfo150.txt, counted from 1, and colours of the challenge's palette
    rows = {
        1: "wall",
        7: "road",
        13: "person",
        21: "car",
        45: "chest of drawers",
        91: "airplane",
        128: "bicycle",
    }
    rows |= {137: "traffic light", 150: "flag"}
    assert {row: CLASSES[row - 1] for row in rows} == rows
    assert (len(CLASSES), len(set(CLASSES)), len(PALETTE)) == (150, 150, 150)
    colours = {1: (120, 120, 120), 3: (6, 230, 230), 13: (150, 5, 61), 21: (0, 102, 200), 150: (92, 0, 255)}
    assert {row: PALETTE[row - 1] for row in colours} == colours
    assert PALETTE[6] == PALETTE[48]  # road and skyscraper, in the original too
    assert len(set(PALETTE)) == 149


def test_a_label_outside_the_150_names_its_file(unpacked):
    mask = unpacked / "annotations/training/ADE_train_00000002.png"
    cv2.imwrite(str(mask), np.full((15, 11), 151, np.uint8))
    dataset = load("ade20k", unpacked)
    dataset.load(0)
    with pytest.raises(DataError, match=r"ADE_train_00000002\.png: class id 151 .*0 to 149"):
        dataset.load(1)


def test_wrong_layouts_say_what_was_expected_and_found(unpacked, tmp_path):
    (unpacked / "annotations/training/ADE_train_00000003.png").unlink()
    with pytest.raises(DataError, match=r"ADE_train_00000003\.jpg: no mask found"):
        load("ade20k", unpacked)
    assert len(load("ade20k", unpacked, complete=False)) == 3
    with pytest.raises(DataError, match="ade20k has no split 'test'; it has train, val"):
        load("ade20k", unpacked, "test")
    (unpacked / "images/validation").rename(unpacked / "images/val")
    with pytest.raises(
        DataError, match=r"no folder validation/; expected ADEChallengeData2016 .*found training/, val/"
    ):
        load("ade20k", unpacked, "val")
    other = tmp_path / "ADE20K_2016_07_26"
    (other / "images/training/a/abbey").mkdir(parents=True)
    (other / "index_ade20k.mat").touch()
    with pytest.raises(
        DataError, match=r"no folder annotations/; expected .*, and found images/, index_ade20k.mat"
    ):
        load("ade20k", other)
