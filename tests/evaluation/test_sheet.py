import numpy as np
import pytest

import kseg
from kseg.errors import SettingsError
from kseg.evaluation import Report, WorstImage, contact_sheet
from kseg.evaluation.sheet import ranked


def test_best_median_and_worst_and_none_twice():
    ones = tuple(WorstImage(n, str(n), n / 10) for n in range(9))
    found = [(kind, one.index) for kind, one in ranked(ones, 2)]
    assert found == [("best", 8), ("best", 7), ("median", 3), ("median", 4), ("worst", 0), ("worst", 1)]
    assert [(kind, one.index) for kind, one in ranked(ones[:2], 2)] == [("best", 1), ("best", 0)]
    assert [one.index for _, one in ranked(ones[:3], 1)] == [2, 1, 0]


@pytest.fixture
def data():
    """Three images whose left part is class 1; the predictor sees 4 columns of it in each."""
    images = [np.full((16, 16, 3), 60 * n, np.uint8) for n in (1, 2, 3)]
    masks = [np.repeat((np.arange(16) < width)[None].astype(np.uint8), 16, 0) for width in (4, 6, 12)]
    return kseg.data.from_arrays(images, masks, classes=("ground", "left"))


def report(*ones):
    return Report(("ground", "left"), np.eye(2, dtype=int), 3, worst=ones)


def seen(image):
    return np.repeat((np.arange(16) < 4)[None].astype(np.uint8), 16, 0)


def test_a_row_holds_image_truth_prediction_and_overlay(data):
    ones = WorstImage(2, "c", 0.3), WorstImage(1, "b", 0.6), WorstImage(0, "a", 1.0)
    found = contact_sheet(report(*ones), seen, data, count=1, cell=64)
    rows = [found[27:91], found[124:188], found[221:285]]  # below the captions
    columns = [[row[:, 6 + 70 * n : 70 + 70 * n] for n in range(4)] for row in rows]
    for (image, truth, prediction, over), width, grey in zip(
        columns, (4, 6, 12), (60, 120, 180), strict=True
    ):
        assert (image == grey).all()
        left = np.array(data.palette[1])
        assert (truth[:, : 4 * width] == left).all()
        assert (truth[:, 4 * width :] == data.palette[0]).all()
        assert (prediction[:, :16] == left).all()
        assert (over[:, 20:] == grey).all()
        assert not (over[:, :16] == grey).all()


def test_mistakes(data):
    with pytest.raises(SettingsError, match="got 0"):
        contact_sheet(report(WorstImage(0, "a", 1.0)), seen, data, count=0)
    with pytest.raises(SettingsError, match="ranks 0"):
        contact_sheet(report(), seen, data)
