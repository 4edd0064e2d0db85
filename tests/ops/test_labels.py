"""`class_ids` and `count_ids` against NumPy."""

import numpy as np

from kseg.ops.labels import class_ids, count_ids


def test_is_numpys_argmax_and_the_first_of_equals():
    scores = np.random.default_rng(0).normal(size=(2, 5, 7, 4)).astype("float32")
    scores[0, 0, 0] = [1, 3, 3, 0]
    found = np.asarray(class_ids(scores))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, scores.argmax(-1))


def test_counts_are_numpys():
    ids = np.random.default_rng(0).integers(0, 7, 100).astype("int32")
    found = np.asarray(count_ids(ids, 9))
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, np.bincount(ids, minlength=9))
