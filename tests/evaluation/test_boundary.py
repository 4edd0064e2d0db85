"""Trimap IoU and boundary F1 against brute force over all pairs of pixels."""

import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.evaluation import BoundaryF1, TrimapIoU
from kseg.evaluation.boundary import distance_to, edges


def blobs(seed, height=17, width=23, classes=4, ignored=False):
    """Labels with regions of a few pixels."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, classes, (-(-height // 4), -(-width // 5)))
    labels = small.repeat(4, 0).repeat(5, 1)[:height, :width].astype(np.uint8)
    labels[rng.random(labels.shape) < 0.03] = rng.integers(classes)
    if ignored:
        labels[rng.random(labels.shape) < 0.1] = 255
        labels[3:6, 2:9] = 255
    return labels


def brute_edges(labels):
    height, width = labels.shape
    found = np.zeros(labels.shape, bool)
    for y in range(height):
        for x in range(width):
            for ny, nx in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= ny < height and 0 <= nx < width and labels[ny, nx] != labels[y, x]:
                    found[y, x] = True
    return found


def brute_distance(marked):
    places = np.argwhere(marked)
    every = np.argwhere(np.ones_like(marked))
    if not len(places):
        return np.full(marked.shape, np.inf)
    return np.sqrt(((every[:, None] - places[None]) ** 2).sum(-1).min(1)).reshape(marked.shape)


def brute_miou(labels, predictions, counted, classes):
    ious = []
    for c in range(classes):
        t, p = (labels == c) & counted, (predictions == c) & counted
        if (t | p).any():
            ious.append((t & p).sum() / (t | p).sum())
    return np.mean(ious) if ious else np.nan


@pytest.mark.parametrize("seed", range(4))
def test_edges_and_distances(seed):
    labels = blobs(seed, ignored=True)
    np.testing.assert_array_equal(edges(labels), brute_edges(labels))
    np.testing.assert_allclose(distance_to(edges(labels)), brute_distance(edges(labels)), rtol=1e-6)


@pytest.mark.parametrize("ignored", [False, True])
def test_trimap_curve_is_brute_force_at_every_width(ignored):
    pairs = [(blobs(seed, ignored=ignored), blobs(seed + 50)) for seed in range(3)]
    pairs += [(blobs(7, 30, 11, ignored=ignored), blobs(8, 30, 11))]
    measure = TrimapIoU(4, widest=12)
    for labels, predictions in pairs:
        measure.update(labels, predictions)
    labels = np.concatenate([t.ravel() for t, _ in pairs])
    predictions = np.concatenate([p.ravel() for _, p in pairs])
    distance = np.concatenate([brute_distance(brute_edges(t)).ravel() for t, _ in pairs])
    expected = [brute_miou(labels, predictions, (distance < w) & (labels != 255), 4) for w in range(1, 13)]
    np.testing.assert_allclose(measure.curve(), expected, rtol=1e-12)


def test_trimap_of_a_wide_band_is_the_whole_picture():
    labels, predictions = blobs(1, ignored=True), blobs(2)
    measure = TrimapIoU(4, widest=40)
    measure.update(labels, predictions)
    expected = brute_miou(labels, predictions, labels != 255, 4)
    np.testing.assert_allclose(measure.curve()[-1], expected, rtol=1e-12)


def test_trimap_without_edges_has_no_score():
    measure = TrimapIoU(4, widest=3)
    measure.update(np.zeros((5, 6), np.uint8), np.zeros((5, 6), np.uint8))
    np.testing.assert_array_equal(measure.curve(), [np.nan] * 3)


def test_trimap_sees_what_only_edges_show():
    """A prediction that is wrong on the edge pixels alone: worst in the narrowest band."""
    labels = np.zeros((40, 40), np.uint8)
    labels[:, 20:] = 1
    predictions = np.roll(labels, 1, axis=1)
    predictions[:, 0] = 0
    measure = TrimapIoU(2)
    measure.update(labels, predictions)
    curve = measure.curve()
    assert curve[0] == pytest.approx(
        (1 / 2 + 0) / 2
    )  # half of the left edge pixels is hit, of the right none
    assert (np.diff(curve[:20]) > 0).all()


def brute_bf(labels, predictions, tolerance):
    scores = []
    reach = tolerance * np.hypot(*labels.shape)
    for c in np.unique(labels[labels != 255]):
        t, p = labels == c, (predictions == c) & (labels != 255)
        t_line, p_line = brute_edges(t) & t, brute_edges(p) & p
        if not t_line.any() and not p_line.any():
            continue
        if not t_line.any() or not p_line.any():
            scores.append(0.0)
            continue
        precision = (brute_distance(t_line)[p_line] <= reach).mean()
        recall = (brute_distance(p_line)[t_line] <= reach).mean()
        scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
    return np.mean(scores)


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("tolerance", [0.0075, 0.04, 0.1])
def test_boundary_f1_is_brute_force(ignored, tolerance):
    pairs = [(blobs(seed, ignored=ignored), blobs(seed + 50)) for seed in range(3)]
    measure = BoundaryF1(4, tolerance=tolerance)
    for labels, predictions in pairs:
        measure.update(labels, predictions)
    np.testing.assert_allclose(measure.result(), np.mean([brute_bf(*pair, tolerance) for pair in pairs]))


def test_boundary_f1_of_the_truth_is_one_and_of_a_near_miss_too():
    labels = np.zeros((60, 80), np.uint8)  # diagonal 100: the tolerance is 0.75 pixels, or 1.5 at twice that
    labels[20:40, 30:50] = 1
    for tolerance, shift, expected in ((0.0075, 0, 1.0), (0.015, 1, 1.0), (0.0075, 5, None)):
        measure = BoundaryF1(2, tolerance=tolerance)
        measure.update(labels, np.roll(labels, shift, axis=1))
        assert measure.result() == expected if expected else measure.result() < 0.8


def test_boundary_f1_without_contours():
    measure = BoundaryF1(3)
    measure.update(np.zeros((5, 6), np.uint8), np.zeros((5, 6), np.uint8))
    assert np.isnan(measure.result())
    labels = np.zeros((9, 9), np.uint8)
    labels[3:6, 3:6] = 2
    measure.update(labels, np.zeros_like(labels))
    assert measure.result() == 0.0


@pytest.mark.parametrize("measure", [TrimapIoU, BoundaryF1])
def test_maps_that_cannot_be_scored(measure):
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    for wrong, said in (
        ((labels, labels[:2]), "one shape"),
        ((labels[None], labels[None]), "one map"),
        ((labels + 1, labels), r"found also \[3\]"),
        ((labels, labels + 1), r"found also \[3\]"),
        ((labels.astype(int) - 1, labels), "found also"),
        ((labels, labels / 2), "integer"),
    ):
        with pytest.raises(DataError, match=said):
            measure(3).update(*wrong)
    measure(3).update(labels.tolist(), labels)
    with pytest.raises(SettingsError):
        measure(0)


def test_measures_that_make_no_sense():
    with pytest.raises(SettingsError, match="width"):
        TrimapIoU(3, widest=0)
    for tolerance in (-0.1, float("nan")):
        with pytest.raises(SettingsError, match="tolerance"):
            BoundaryF1(3, tolerance=tolerance)
