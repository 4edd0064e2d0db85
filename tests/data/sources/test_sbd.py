"""VOC with SBD, in the layout of VOCtrainval_11-May-2012.tar and benchmark.tgz."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from kseg.data import check, load
from kseg.errors import DataError

sys.path.insert(0, str(Path(__file__).parents[2] / "io" / "formats"))
from test_mat_mask import mat_file

VOC_TRAIN, VOC_VAL = ["2007_000032", "2008_000002"], ["2007_000033", "2009_000001"]
SBD_TRAIN, SBD_VAL = ["2008_000002", "2008_000007", "2009_000001"], ["2010_000043"]


@pytest.fixture
def both(tmp_path):
    voc, sbd = tmp_path / "VOCdevkit/VOC2012", tmp_path / "benchmark_RELEASE/dataset"
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (voc / folder).mkdir(parents=True)
    for folder in ("img", "cls", "inst"):
        (sbd / folder).mkdir(parents=True)
    for name in VOC_TRAIN + VOC_VAL + ["2010_000043"]:
        cv2.imwrite(str(voc / f"JPEGImages/{name}.jpg"), np.zeros((4, 6, 3), np.uint8))
    for name in VOC_TRAIN + VOC_VAL:
        cv2.imwrite(str(voc / f"SegmentationClass/{name}.png"), np.full((4, 6), 1, np.uint8))
    for name in SBD_TRAIN + SBD_VAL:
        cv2.imwrite(str(sbd / f"img/{name}.jpg"), np.full((4, 6, 3), 200, np.uint8))
        (sbd / f"cls/{name}.mat").write_bytes(mat_file(np.full((4, 6), 2, np.uint8), compressed=True))
    for folder, lists in (
        (voc / "ImageSets/Segmentation", (VOC_TRAIN, VOC_VAL)),
        (sbd, (SBD_TRAIN, SBD_VAL)),
    ):
        for split, names in zip(("train", "val"), lists, strict=True):
            (folder / f"{split}.txt").write_text("\n".join(names) + "\n")
    return tmp_path


def test_train_aug_is_voc_train_and_sbd_without_voc_val(both):
    dataset = load("voc", both, "train_aug")
    names = [dataset.name_of(i) for i in range(len(dataset))]
    assert names == ["2007_000032", "2008_000002", "2008_000007", "2010_000043"]
    # VOC's own masks where it has them, SBD's elsewhere; VOC's picture where it lies there
    assert [int(dataset.load(i)[1].max()) for i in range(4)] == [1, 1, 2, 2]
    assert [int(dataset.load(i)[0].max()) > 100 for i in range(4)] == [False, False, True, False]
    assert dataset.num_classes == 21


def test_the_usual_list_and_folder_come_first(both):
    voc = both / "VOCdevkit/VOC2012"
    (voc / "SegmentationClassAug").mkdir()
    cv2.imwrite(str(voc / "SegmentationClassAug/2007_000032.png"), np.full((4, 6), 9, np.uint8))
    (voc / "ImageSets/Segmentation/trainaug.txt").write_text("2007_000032\n")
    dataset = load("voc", both, "train_aug")
    assert (len(dataset), int(dataset.load(0)[1].max())) == (1, 9)


def test_sbds_own_splits(both):
    train, val = load("voc", both, "sbd_train"), load("voc", both, "sbd_val")
    assert [train.name_of(i) for i in range(len(train))] == SBD_TRAIN
    np.testing.assert_array_equal(val.load(0)[1], np.full((4, 6), 2))
    assert check(train).ok


def test_what_is_missing_is_named(both):
    sbd = both / "benchmark_RELEASE/dataset"
    (sbd / "cls/2008_000007.mat").write_bytes(mat_file(np.full((4, 6), 21, np.uint8)))
    with pytest.raises(DataError, match=r"2008_000007\.mat: class id 21"):
        load("voc", both, "sbd_train").load(1)
    (sbd / "cls/2008_000007.mat").write_bytes(b"damaged")
    assert [finding.kind for finding in check(load("voc", both, "sbd_train")).findings if finding.fatal] == [
        "unreadable"
    ]
    (sbd / "cls/2008_000007.mat").unlink()
    with pytest.raises(DataError, match=r"2008_000007\.mat: no such file, though the list of 'train_aug'"):
        load("voc", both, "train_aug")
    (sbd / "val.txt").write_text("../../../etc/passwd\n")
    with pytest.raises(DataError, match=r"val\.txt: .* leads out of"):
        load("voc", both, "sbd_val")
    (sbd / "val.txt").unlink()
    with pytest.raises(DataError, match=r"no val\.txt; expected benchmark_RELEASE/dataset"):
        load("voc", both, "train_aug")
    with pytest.raises(DataError, match="VOCdevkit: 'sbd_train' needs"):
        load("voc", both / "VOCdevkit", "sbd_train")  # SBD lies outside of this root
    (both / "benchmark_RELEASE").rename(both / "moved")
    for split in ("train_aug", "sbd_train"):
        with pytest.raises(
            DataError, match=r"SegmentationClassAug with its list train_aug\.txt, or SBD: expected"
        ):
            load("voc", both, split)
