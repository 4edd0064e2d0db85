"""The report as table, JSON and picture."""

import json

import numpy as np
import pytest

from kseg.evaluation import Report, WorstImage, confusion_picture

# True class 2 is absent and never predicted; class 1 is half right.
CONFUSION = np.array([[80, 0, 0], [10, 10, 0], [0, 0, 0]], np.int64)
CLASSES = ("road", "person", "unicorn")


def report(**settings):
    return Report(CLASSES, CONFUSION, 7, "meadow val", (WorstImage(4, "img_004", 0.25),), **settings)


def test_scores_by_hand():
    found = report()
    np.testing.assert_allclose(found.class_iou, [80 / 90, 10 / 20, np.nan])
    np.testing.assert_allclose(found.class_accuracy, [1, 0.5, np.nan])
    np.testing.assert_allclose(found.class_share, [0.8, 0.2, 0])
    assert found.mean_iou == pytest.approx((80 / 90 + 0.5) / 2)
    assert found.pixel_accuracy == pytest.approx(0.9)
    assert found.mean_accuracy == pytest.approx(0.75)
    assert found.frequency_weighted_iou == pytest.approx(0.8 * 80 / 90 + 0.2 * 0.5)
    assert found.pixels == 100


def test_table():
    lines = report(trimap=(0.5, 0.6, 0.7), boundary_f1=0.123).table().splitlines()
    rows = {line.split("  ")[0].strip(): line.split() for line in lines if line}
    assert rows["road"] == ["road", "0.8889", "1.0000", "80.0%"]
    assert rows["unicorn"] == ["unicorn", "-", "-", "0.0%"]
    assert rows["mean IoU"][-1] == "0.6944"
    assert rows["pixel accuracy"][-1] == "0.9000"
    assert rows["boundary F1"][-1] == "0.1230"
    assert rows["0.2500"] == ["0.2500", "img_004"]
    assert ["1", "2", "3"] in [line.split() for line in lines]
    assert "7 images, 100 labelled pixels, meadow val" in lines


def test_json_is_plain_and_complete():
    plain = json.loads(
        json.dumps(report(trimap=(0.5, float("nan")), boundary_f1=0.5).to_json(), allow_nan=False)
    )
    assert plain["mean_iou"] == pytest.approx((80 / 90 + 0.5) / 2)
    assert plain["classes"] == list(CLASSES)
    assert plain["class_iou"][2] is None
    assert plain["confusion"] == CONFUSION.tolist()
    assert plain["worst"] == [{"index": 4, "name": "img_004", "mean_iou": 0.25}]
    assert plain["trimap_iou"] == {"1": 0.5, "2": None}
    assert plain["boundary_f1"] == 0.5
    assert report().to_json()["trimap_iou"] is None


def test_an_empty_matrix_has_no_scores():
    found = Report(("a", "b"), np.zeros((2, 2), np.int64), 0)
    assert found.mean_iou == 0
    assert np.isnan(found.class_iou).all()
    assert "-" in found.table()
    json.dumps(found.to_json(), allow_nan=False)


def test_picture():
    pytest.importorskip("matplotlib")
    np.testing.assert_array_equal(report().picture(), confusion_picture(CONFUSION, CLASSES))
