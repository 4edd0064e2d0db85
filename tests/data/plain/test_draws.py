"""Against TensorFlow's own stateless random numbers, exactly."""

import numpy as np
import pytest

from kseg.data.plain.draws import fold_in, index_shuffle, uniform

SEEDS = [(0, 0), (7, 3), (2**40 + 5, 12), (-1, 2**62)]


@pytest.mark.parametrize("count", [1, 2, 5, 300, 70_000])
def test_index_shuffle(count):
    tf = pytest.importorskip("tensorflow")
    key = tf.constant(SEEDS[1], tf.int64)
    places = np.unique(np.linspace(0, count - 1, 40).astype(int))
    expected = tf.random.experimental.index_shuffle(
        tf.constant(places, tf.int64), key, tf.constant(count - 1, tf.int64)
    )
    assert [index_shuffle(int(place), SEEDS[1], count - 1) for place in places] == expected.numpy().tolist()
    if count < 1000:
        assert sorted(index_shuffle(n, SEEDS[2], count - 1) for n in range(count)) == list(range(count))


@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_and_fold_in(seed):
    tf = pytest.importorskip("tensorflow")
    key = tf.constant(seed, tf.int64)
    np.testing.assert_array_equal(uniform(seed, 13), tf.random.stateless_uniform([13], key))
    expected = tf.random.experimental.stateless_fold_in(key, tf.constant(9, tf.int64))
    assert list(fold_in(seed, 9)) == expected.numpy().tolist()
