"""The scores against loops over pixels and scikit-learn."""

import numpy as np
import pytest

from kseg import metrics
from kseg.errors import DataError


def maps(classes=5, shape=(3, 17, 23), seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, shape).astype("uint8")
    predictions = np.where(random.random(shape) < 0.6, labels, random.integers(0, classes, shape)).astype(
        "uint8"
    )
    labels[random.random(shape) < 0.2] = 255
    return labels, predictions


def test_confusion_matrix_counts_pixels():
    labels, predictions = maps()
    expected = np.zeros((5, 5), int)
    for true, predicted in zip(labels.ravel(), predictions.ravel(), strict=True):
        if true != 255:
            expected[true, predicted] += 1
    got = metrics.confusion_matrix(labels, predictions, 5)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, expected)


def test_scores_by_hand():
    # Class 3 is nowhere; class 2 is predicted but not true.
    confusion = np.array([[6, 1, 1, 0], [2, 4, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_allclose(metrics.class_iou(confusion), [6 / 10, 4 / 7, 0, np.nan])
    np.testing.assert_allclose(metrics.mean_iou(confusion), (6 / 10 + 4 / 7) / 3)
    np.testing.assert_allclose(metrics.class_accuracy(confusion), [6 / 8, 4 / 6, np.nan, np.nan])
    np.testing.assert_allclose(metrics.mean_accuracy(confusion), (6 / 8 + 4 / 6) / 2)
    np.testing.assert_allclose(metrics.pixel_accuracy(confusion), 10 / 14)
    np.testing.assert_allclose(metrics.frequency_weighted_iou(confusion), (8 * 6 / 10 + 6 * 4 / 7) / 14)


def test_the_mean_over_no_class_is_zero_everywhere():
    """As Keras's own metrics before anything was counted: functions, metric, report, CRF search and export alike."""
    assert float(metrics.MeanIoU(3).result()) == 0
    empty = metrics.confusion_matrix(np.full((2, 2), 255), np.zeros((2, 2), int), 3)
    for score in (
        metrics.mean_iou,
        metrics.mean_accuracy,
        metrics.pixel_accuracy,
        metrics.frequency_weighted_iou,
    ):
        assert score(empty) == 0
    assert np.isnan(metrics.class_iou(empty)).all()


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([[0, 3]], [[0, 0]], r"\[3\]"),
        ([[0, 1]], [[0, 3]], "Predictions"),
        ([[-1, 1]], [[0, 0]], r"\[-1\]"),
        ([[0, 1]], [[0]], "shape"),
        ([[0.0, 1.0]], [[0, 1]], "integer"),
    ],
)
def test_bad_ids_raise(labels, predictions, message):
    with pytest.raises(DataError, match=message):
        metrics.confusion_matrix(np.array(labels), np.array(predictions), 3)


def test_poisoned_matrix_has_no_scores():
    with pytest.raises(DataError, match="outside the classes"):
        metrics.mean_iou(np.full((3, 3), -1))


@pytest.mark.parity
def test_scikit_learn_agrees():
    sklearn = pytest.importorskip("sklearn.metrics")
    labels, predictions = maps(seed=3)
    got = metrics.confusion_matrix(labels, predictions, 5)
    valid = labels != 255
    true, predicted = labels[valid], predictions[valid]
    np.testing.assert_array_equal(got, sklearn.confusion_matrix(true, predicted, labels=range(5)))
    np.testing.assert_allclose(metrics.class_iou(got), sklearn.jaccard_score(true, predicted, average=None))
    np.testing.assert_allclose(metrics.mean_iou(got), sklearn.jaccard_score(true, predicted, average="macro"))
    np.testing.assert_allclose(
        metrics.frequency_weighted_iou(got), sklearn.jaccard_score(true, predicted, average="weighted")
    )
    np.testing.assert_allclose(metrics.pixel_accuracy(got), sklearn.accuracy_score(true, predicted))
    np.testing.assert_allclose(metrics.mean_accuracy(got), sklearn.balanced_accuracy_score(true, predicted))
