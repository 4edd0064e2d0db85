"""The compiled iterations against NumPy on dense kernel matrices."""

import numpy as np
import pytest

from kseg.inference.crf.mean_field import CHUNK, kernel, mean_field, padded
from kseg.inference.crf.permutohedral import PermutohedralLattice


def dense(lattice):
    """The normalised kernel as a matrix: the lattice filter of every basis vector."""
    matrix = lattice.filter(np.eye(lattice.points, dtype=np.float32)).astype(np.float64)
    norm = 1 / np.sqrt(matrix.sum(axis=1))
    return norm[:, None] * matrix * norm


def plain_mean_field(probabilities, matrices, weights, iterations, penalties, floor):
    """Algorithm 1 of Krähenbühl and Koltun 2011, a column of penalties a class."""
    unary = -np.log(np.maximum(probabilities.astype(np.float64), floor))
    q = np.exp(-unary) / np.exp(-unary).sum(axis=1, keepdims=True)
    for _ in range(iterations):
        messages = sum(weight * matrix @ q for weight, matrix in zip(weights, matrices, strict=True))
        q = np.exp(-unary - messages @ penalties)
        q /= q.sum(axis=1, keepdims=True)
    return q


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    lattices = [PermutohedralLattice(rng.normal(0, 1, (45, d))) for d in (2, 5)]
    probabilities = rng.dirichlet([0.3] * 4, 45).astype(np.float32)
    return lattices, probabilities


@pytest.mark.parametrize("potts", [True, False])
def test_iterations_equal_numpy(problem, potts):
    lattices, probabilities = problem
    penalties = 1 - np.eye(4)
    compatibility = None
    if not potts:
        penalties = np.abs(np.subtract.outer(range(4), range(4))).astype(np.float64)
        compatibility = penalties.astype(np.float32)
    ours = mean_field(
        probabilities,
        [kernel(x) for x in lattices],
        [1.5, 2.5],
        6,
        1e-5,
        compatibility,
    )
    expected = plain_mean_field(probabilities, [dense(x) for x in lattices], [1.5, 2.5], 6, penalties, 1e-5)
    np.testing.assert_allclose(ours, expected, atol=2e-5)


@pytest.mark.parametrize("active", [[0, 2, 3], [1]])
def test_classes_that_are_not_heard_send_nothing(problem, active):
    """As if the penalties that they give were zero, to themselves also: Potts less a constant a row."""
    lattices, probabilities = problem
    penalties = np.zeros((4, 4))
    penalties[active, active] = -1
    ours = mean_field(
        probabilities, [kernel(x) for x in lattices], [1.5, 2.5], 6, 1e-5, None, np.array(active)
    )
    expected = plain_mean_field(probabilities, [dense(x) for x in lattices], [1.5, 2.5], 6, penalties, 1e-5)
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_no_kernel_leaves_the_unary(problem):
    _, probabilities = problem
    ours = mean_field(probabilities, [], [], 3, 0.05)
    clipped = np.maximum(probabilities, 0.05)
    np.testing.assert_allclose(ours, clipped / clipped.sum(axis=1, keepdims=True), rtol=1e-5)


def test_tables_hold_every_weight_once():
    lattice = PermutohedralLattice(np.random.default_rng(0).normal(0, 0.2, (300, 2)))
    tables = kernel(lattice)
    assert np.diff(lattice.starts).max() > CHUNK  # some vertices need several rows
    assert np.count_nonzero(tables.share) == np.count_nonzero(lattice.weights)
    norm = 1 / np.sqrt(lattice.filter(np.ones((300, 1), np.float32))[:, 0])
    np.testing.assert_allclose(np.sum(tables.share), (lattice.weights * norm).sum(), rtol=1e-5)


@pytest.mark.parametrize("sizes", [4, 8])
def test_padded_sizes(sizes):
    counts = np.arange(1, 5000)
    padding = np.array([padded(int(count), sizes) for count in counts])
    assert (padding >= counts).all()
    assert (padding <= counts * (1 + 1 / sizes)).all()
    assert len({size for size in padding if 1024 < size <= 2048}) == sizes
