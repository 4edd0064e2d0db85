"""The lattice against a plain dictionary version of the paper and against the exact Gaussian sum."""

import numpy as np
import pytest

from kseg.errors import DataError
from kseg.inference.crf.permutohedral import PermutohedralLattice


def plain_filter(features, values):
    """Splat, blur and slice point by point, vertices in a dictionary (Adams et al. 2010, section 3)."""
    d = features.shape[1]
    scale = np.sqrt(2 / 3) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
    basis = np.zeros((d + 1, d))
    for i in range(d):  # column i of the elevation: ones above, -(i + 1) on row i + 1
        basis[: i + 1, i], basis[i + 1, i] = 1, -(i + 1)
    corners, lattice = [], {}
    for point in features.astype(np.float64) * scale:
        elevated = basis @ point
        zero = np.round(elevated / (d + 1)) * (d + 1)
        rank = np.argsort(np.argsort(-(elevated - zero), kind="stable"), kind="stable")
        rank = rank + round(zero.sum() / (d + 1))
        zero, rank = np.where(rank < 0, zero + d + 1, zero), np.where(rank < 0, rank + d + 1, rank)
        zero, rank = np.where(rank > d, zero - d - 1, zero), np.where(rank > d, rank - d - 1, rank)
        away = (elevated - zero) / (d + 1)
        weights = np.zeros(d + 2)
        for i in range(d + 1):
            weights[d - rank[i]] += away[i]
            weights[d - rank[i] + 1] -= away[i]
        weights[0] += 1 + weights[d + 1]
        keys = [tuple((zero + np.where(rank <= d - k, k, k - d - 1)).astype(int)) for k in range(d + 1)]
        corners.append((keys, weights[: d + 1]))
    for (keys, weights), value in zip(corners, values, strict=True):
        for key, weight in zip(keys, weights, strict=True):
            lattice[key] = lattice.get(key, 0) + weight * value
    for axis in range(d + 1):
        step = np.full(d + 1, -1)
        step[axis] = d
        sides = {key: (tuple(np.add(key, step)), tuple(np.subtract(key, step))) for key in lattice}
        lattice = {
            key: value + 0.5 * (lattice.get(sides[key][0], 0) + lattice.get(sides[key][1], 0))
            for key, value in lattice.items()
        }
    sliced = [sum(w * lattice[k] for k, w in zip(keys, weights, strict=True)) for keys, weights in corners]
    return np.array(sliced) / (1 + 2.0**-d), len(lattice)


def exact_filter(features, values):
    distance = ((features[:, None] - features[None]) ** 2).sum(-1)
    return np.exp(-0.5 * distance) @ values


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_filter_is_the_plain_algorithm(dimensions):
    rng = np.random.default_rng(dimensions)
    features = rng.normal(0, 1.5, (60, dimensions)).astype(np.float32)
    values = rng.normal(size=(60, 3)).astype(np.float32)
    lattice = PermutohedralLattice(features)
    expected, vertices = plain_filter(features, values)
    assert lattice.vertices == vertices
    np.testing.assert_allclose(lattice.filter(values), expected, rtol=1e-4, atol=1e-5)


def test_coordinates_too_long_to_pack():
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(size=(30, 5)), rng.normal(0, 1, (30, 5)) + 8000]).astype(np.float32)
    values = rng.random((60, 1)).astype(np.float32)
    expected, vertices = plain_filter(features, values)
    lattice = PermutohedralLattice(features)
    assert lattice.vertices == vertices
    np.testing.assert_allclose(lattice.filter(values), expected, rtol=5e-3, atol=1e-3)


def test_points_in_several_blocks():
    features = np.random.default_rng(0).normal(0, 30, (20_000, 2)).astype(np.float32)
    lattice = PermutohedralLattice(features)
    np.testing.assert_allclose(lattice.weights.sum(axis=0), 1, atol=1e-5)
    assert lattice.weights.min() > -1e-4
    # far apart from the rest, a block filters alone as it does among the others
    last = features[-50:] + 1000
    together = PermutohedralLattice(np.concatenate([features, last]))
    values = np.random.default_rng(1).random((20_050, 1)).astype(np.float32)
    np.testing.assert_allclose(
        together.filter(values)[-50:], PermutohedralLattice(last).filter(values[-50:]), rtol=1e-5
    )


def test_members_are_the_corners_turned_round():
    lattice = PermutohedralLattice(np.random.default_rng(0).normal(0, 1, (50, 3)))
    owners = np.repeat(np.arange(lattice.vertices), np.diff(lattice.starts))
    pairs = {(int(v), int(p)) for v, p in zip(owners, lattice.members, strict=True)}
    assert pairs == {(int(lattice.corners[k, p]), p) for k in range(4) for p in range(50)}


def test_neighbours_are_mutual():
    lattice = PermutohedralLattice(np.random.default_rng(0).normal(0, 1, (200, 2)))
    for before, after in lattice.neighbours:
        here = np.flatnonzero(before < lattice.vertices)
        assert len(here)
        np.testing.assert_array_equal(after[before[here]], here)


@pytest.mark.parametrize(("rgb_std", "least"), [(10, 0.998), (30, 0.998)])
def test_error_against_the_exact_sum(rgb_std, least):
    """Weighted averages of a smooth picture: measured correlation 0.999, mean error 0.008 of the range, worst 0.06."""
    y, x = np.mgrid[:24, :24]
    rng = np.random.default_rng(0)
    image = np.stack([60 + 120 * (x > 11), 90 + 4 * y, 128 + 40 * np.sin(x / 5)], -1) + rng.normal(
        0, 3, (24, 24, 3)
    )
    features = np.concatenate([np.stack([x, y], -1) / 8, image / rgb_std], -1).reshape(-1, 5)
    values = ((x + y > 22) + 0.2 * rng.random((24, 24))).reshape(-1, 1)
    lattice = PermutohedralLattice(features)
    ones = np.ones_like(values)
    ours = lattice.filter(values) / lattice.filter(ones)
    exact = exact_filter(features, values) / exact_filter(features, ones)
    assert np.corrcoef(ours.ravel(), exact.ravel())[0, 1] > least
    assert np.abs(ours - exact).mean() < 0.02 * np.ptp(values)


def test_one_point():
    lattice = PermutohedralLattice(np.zeros((1, 5)))
    assert lattice.filter(np.ones((1, 2), np.float32)).shape == (1, 2)
    assert lattice.filter(np.ones((1, 1), np.float32)) > 0


@pytest.mark.parametrize(
    "features",
    [np.zeros((0, 2)), np.zeros((4, 0)), np.zeros(4), np.array([[0.0, np.nan]]), np.array([[0.0], [1e9]])],
)
def test_bad_features(features):
    with pytest.raises(DataError):
        PermutohedralLattice(features)


def test_values_of_another_length():
    with pytest.raises(DataError, match="4 points"):
        PermutohedralLattice(np.zeros((4, 2))).filter(np.ones((3, 1)))
