"""Which images are trained on."""

import numpy as np

from tools.fine_tuning import CASES, NETWORKS, drawn


def test_forty_images_with_both_classes_and_other_ones_for_another_seed():
    y = np.zeros((90, 10, 10), np.uint8)
    y[:30, :5], y[60:, 5:] = 1, 2
    own = drawn(y, seed=0)
    assert len(set(own)) == len(own) == 40
    assert abs(sum(n < 30 for n in own) - sum(n >= 60 for n in own)) <= 1
    assert own != drawn(y, seed=1)
    assert len(drawn(y[:50], seed=0)) == 40


def test_every_start_is_known():
    for *_, starts in CASES.values():
        for start in starts:
            preset, _, other = start.partition(" from ")
            assert other in ("", "random") or preset in NETWORKS
