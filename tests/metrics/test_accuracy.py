import numpy as np

from kseg.metrics import PixelAccuracy


def test_the_share_of_labelled_pixels():
    rng = np.random.default_rng(0)
    labels, logits = rng.choice([0, 1, 2, 255], (2, 9, 7)), rng.normal(size=(2, 9, 7, 3)).astype("float32")
    metric = PixelAccuracy(3)
    assert float(metric.result()) == 0
    metric.update_state(labels, logits)
    there = labels != 255
    np.testing.assert_allclose(metric.result(), (logits.argmax(-1) == labels)[there].mean(), rtol=1e-6)
    metric.update_state(np.full((1, 1, 1), 9), np.zeros((1, 1, 1, 3)))
    assert np.isnan(metric.result())
