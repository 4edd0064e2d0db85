import numpy as np
import pytest

from kseg.webcam.smoothing import Smoothing, labels_of, of_two, planes_of


def two(p):
    return np.stack([1 - p, p], -1).astype("float32")


def test_moving_average_by_hand():
    smooth = Smoothing(weight=0.75, jump=2)
    a, b, c = (two(np.full((3, 4), p)) for p in (0.2, 0.6, 1.0))
    np.testing.assert_array_equal(smooth(a), a)
    np.testing.assert_allclose(smooth(b)[..., 1], 0.75 * 0.2 + 0.25 * 0.6, atol=1e-6)
    np.testing.assert_allclose(smooth(c)[..., 1], 0.75 * 0.3 + 0.25 * 1.0, atol=1e-6)


def test_flicker_is_damped_and_movement_is_not_trailed():
    smooth = Smoothing(weight=0.6, jump=0.6)
    values = [smooth(two(np.full((2, 2), p)))[0, 0, 1] for p in (0.45, 0.55, 0.45, 0.55, 0.45, 0.55)]
    assert max(values) - min(values) < 0.07
    assert smooth(two(np.full((2, 2), 0.0)))[0, 0, 1] < 0.5
    smooth(two(np.full((2, 2), 0.99)))
    np.testing.assert_allclose(smooth(two(np.full((2, 2), 0.02)))[..., 1], 0.02)


def test_a_change_of_size_and_a_reset_begin_anew():
    smooth = Smoothing(weight=0.5)
    smooth(two(np.zeros((2, 2))))
    larger = two(np.full((4, 4), 0.4))
    np.testing.assert_array_equal(smooth(larger), larger)
    smooth.reset()
    other = two(np.full((4, 4), 0.2))
    np.testing.assert_array_equal(smooth(other), other)


def test_labels_of_two_and_of_more_classes():
    p = np.zeros((4, 4))
    p[:, 2:] = 1
    labels = labels_of(two(p), (8, 8))
    np.testing.assert_array_equal(labels, np.repeat([[0, 0, 0, 0, 1, 1, 1, 1]], 8, axis=0))
    ids = np.array([[0, 3], [2, 1]])
    np.testing.assert_array_equal(
        labels_of(np.eye(4, dtype="float32")[ids], (4, 4)), np.kron(ids, np.ones((2, 2)))
    )


def test_two_classes_lie_in_planes():
    """As stacked, and each plane in one piece, which OpenCV takes without a copy."""
    second = np.random.default_rng(0).uniform(size=(3, 5)).astype("float32")
    found = of_two(second)
    np.testing.assert_array_equal(found, np.stack([1 - second, second], -1))
    assert found[..., 1].flags.c_contiguous
    smooth = Smoothing(0.5)
    smooth(found)
    assert smooth(found)[..., 1].flags.c_contiguous


@pytest.mark.parametrize("classes", [2, 3, 21])
def test_many_classes_in_plain_numpy(classes):
    """Whatever the layout in memory: averages, what moved, and the class, the first of equals."""
    rng = np.random.default_rng(classes)
    first, second = rng.dirichlet(np.full(classes, 0.2), (2, 6, 9)).astype("float32")
    second[0, 0], second[0, 1] = 1 / classes, first[0, 1]
    expected = 0.7 * first + 0.3 * second
    moved = (np.abs(first - second) > 0.6).any(-1)
    expected[moved] = second[moved]
    assert 0 < moved.sum() < moved.size
    for given in ((first, second), (np.asfortranarray(first), planes_of(second).transpose(1, 2, 0))):
        smooth = Smoothing(0.7, 0.6)
        smooth(given[0])
        np.testing.assert_allclose(smooth(given[1]), expected, atol=1e-6)
    if classes > 2:
        np.testing.assert_array_equal(labels_of(second, (6, 9)), second.argmax(-1))
