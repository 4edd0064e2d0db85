"""The scores of classes that overlap, against scikit-learn's formulas counted by hand."""

import numpy as np
import pytest

from kseg.evaluation.overlap_report import OverlapReport
from kseg.metrics import class_confusions


@pytest.fixture
def masks():
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 2, (2, 3, 8, 9, 4))
    truth[0, 0, :, 1] = 255
    truth[..., 3] = found[..., 3] = 0
    return truth, found


def test_scores_are_those_of_each_class(masks):
    truth, found = masks
    report = OverlapReport(("a", "b", "c", "none"), class_confusions(truth, found), 3)
    expected = []
    for number in range(3):
        known = truth[..., number] != 255
        t, f = truth[..., number][known] == 1, found[..., number][known] == 1
        expected.append((t & f).sum() / (t | f).sum())
        np.testing.assert_allclose(report.class_accuracy[number], (t & f).sum() / t.sum())
    np.testing.assert_allclose(report.class_iou[:3], expected)
    assert np.isnan(report.class_iou[3])
    np.testing.assert_allclose(report.mean_iou, np.mean(expected))
    known = truth != 255
    np.testing.assert_allclose(report.pixel_accuracy, (truth == found)[known].mean())
    assert report.pixels == 3 * 8 * 9
    assert "none" in report.table()
    assert report.to_json()["class_iou"][3] is None
    assert report.picture().shape[-1] == 3
