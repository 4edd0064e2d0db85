import numpy as np
import pytest

from kseg import evaluation
from kseg.errors import SettingsError
from kseg.metrics import BoundaryF1


@pytest.mark.parametrize("distance", [0, 1, 2.5])
def test_the_measure_of_the_evaluation(distance):
    """There with OpenCV's Euclidean distances, one image at a time."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (4, 6, 5)).repeat(4, axis=1).repeat(4, axis=2)
    labels[:, :3] = 255
    labels[3] = 1  # no contour
    found = np.roll(labels, 1, axis=2)
    found[found == 255] = 0
    metric = BoundaryF1(3, distance)
    metric.update_state(labels[:2], found[:2])
    metric.update_state(labels[2:], found[2:])
    reference = evaluation.BoundaryF1(3, 255, distance / float(np.hypot(24, 20)) + 1e-9)
    for label, one in zip(labels, found, strict=True):
        reference.update(label, one)
    np.testing.assert_allclose(metric.result(), reference.result(), rtol=1e-5)


def test_one_channel_and_what_is_refused():
    labels = np.zeros((1, 8, 8), int)
    labels[:, 2:6, 2:6] = 1
    metric = BoundaryF1(1)
    metric.update_state(labels, np.where(labels, 3.0, -3.0)[..., None])
    assert float(metric.result()) == 1
    with pytest.raises(SettingsError, match="distance"):
        BoundaryF1(2, -1)
