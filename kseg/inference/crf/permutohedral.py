"""Gaussian filtering in any number of dimensions on the permutohedral lattice, in NumPy."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kseg.errors import DataError

BLOCK = 16384  # points worked on at once, so that the intermediate arrays stay in the cache
FARTHEST = 32000  # simplices from the origin; int16 holds them


class PermutohedralLattice:
    """The sparse lattice on which a Gaussian filter costs linear instead of quadratic time.

    Every point is spread over the `dimensions + 1` corners of the simplex around it (splat), the corners are
    blurred along each lattice direction with [1 2 1] / 2 (blur), and every point reads its corners (slice).
    The result approximates `sum_j exp(-|f_i - f_j|^2 / 2) values_j` up to a constant factor.

    Source: Adams, Baek and Davis 2010, "Fast High-Dimensional Filtering Using the Permutohedral Lattice",
    sections 3.1 to 3.3; scaling, rounding and order of the blur as in the code released with Krähenbühl and
    Koltun 2011. Instead of a hash table, the vertices are numbered by sorting their integer coordinates.

    Args:
        features: float (points, dimensions), each column divided by the standard deviation wanted in it.

    Attributes:
        points, dimensions, vertices: counts.
        corners: int32 (dimensions + 1, points), the vertices around each point.
        weights: float32 (dimensions + 1, points), their barycentric weights; columns sum to one.
        neighbours: int32 (dimensions + 1, 2, vertices), the two vertices beside each vertex in each
            direction; the number `vertices` stands for a missing one.
        members, member_weights: the points (int32) and weights (float32) that each vertex gathers, by vertex.
        starts: int64 (vertices + 1,), where in `members` each vertex begins.
        scale: the factor on what is sliced.

    Raises:
        DataError: features that are empty, not finite, or farther apart than the lattice can number.
    """

    def __init__(self, features: np.ndarray) -> None:
        features = np.asarray(features, np.float32)
        if features.ndim != 2 or 0 in features.shape:
            raise DataError(
                f"a lattice needs features (points, dimensions), got an array of {features.shape}"
            )
        if not np.isfinite(features).all():
            raise DataError("the features of a lattice must be finite, got NaN or infinity")
        self.points, self.dimensions = features.shape
        self.scale = np.float32(1 / (1 + 2.0**-self.dimensions))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            self._build(features, pool)

    def _build(self, features: np.ndarray, pool: ThreadPoolExecutor) -> None:
        n, d = features.shape
        cells = np.empty((d + 1, n), np.int16)
        ranks = np.empty((d + 1, n), np.int8)
        self.weights = np.empty((d + 1, n), np.float32)
        blocks = [slice(start, start + BLOCK) for start in range(0, n, BLOCK)]
        list(pool.map(lambda b: _locate(features[b], cells[:, b], ranks[:, b], self.weights[:, b]), blocks))
        lowest = cells[:d].min(axis=1).astype(np.int64) - 2
        # Factors that turn the coordinates of a cell into one int64 without collisions.
        spans = cells[:d].max(axis=1).astype(np.int64) + 2 - lowest
        if np.log2(spans.astype(float)).sum() > 62:
            raise DataError("features too far apart for the lattice: the standard deviations are too small")
        strides = np.append(np.cumprod(spans[:0:-1])[::-1], 1).astype(np.int64)
        codes = np.empty((d + 1, n), np.int64)
        list(pool.map(lambda b: _encode(cells[:, b], ranks[:, b], lowest, strides, codes[:, b]), blocks))

        colours = list(pool.map(_sort, codes))  # vertices of different colour (remainder) never coincide
        codes = [unique for _, _, unique in colours]
        offsets = np.cumsum([0, *(len(unique) for unique in codes)])
        self.vertices = int(offsets[-1])
        self.starts = np.concatenate(
            [starts + k * n for k, (_, starts, _) in enumerate(colours)] + [[(d + 1) * n]]
        )
        self.corners = np.empty((d + 1, n), np.int32)
        self.members = np.empty((d + 1, n), np.int32)
        self.member_weights = np.empty((d + 1, n), np.float32)

        def number(k: int) -> None:
            points, starts, _ = colours[k]
            sizes = np.diff(starts, append=n)
            self.members[k] = points
            self.member_weights[k] = self.weights[k][points]
            self.corners[k][points] = np.repeat(np.arange(offsets[k], offsets[k + 1], dtype=np.int32), sizes)

        list(pool.map(number, range(d + 1)))
        self.members, self.member_weights = self.members.ravel(), self.member_weights.ravel()
        self.neighbours = np.full((d + 1, 2, self.vertices), self.vertices, np.int32)
        list(pool.map(lambda k: _connect(codes, offsets, k, strides, self.neighbours), range(d + 1)))

    def filter(self, values: np.ndarray) -> np.ndarray:
        """Filter float32 values (points, channels) and return an array of the same shape."""
        values = np.asarray(values, np.float32)
        if values.ndim != 2 or len(values) != self.points:
            raise DataError(f"the lattice has {self.points} points, the values have shape {values.shape}")
        filtered = []
        for channel in values.T:
            splat = np.add.reduceat(channel[self.members] * self.member_weights, self.starts[:-1])
            vertices = np.append(splat, np.float32(0))
            for before, after in self.neighbours:
                vertices[:-1] += np.float32(0.5) * (vertices[before] + vertices[after])
            filtered.append(self.scale * (vertices[self.corners] * self.weights).sum(axis=0))
        return np.stack(filtered, axis=1)


def _locate(features: np.ndarray, cells: np.ndarray, ranks: np.ndarray, weights: np.ndarray) -> None:
    """Find the simplex of each point: its zero-coloured corner, the order of its coordinates, the weights."""
    n, d = features.shape
    spread = np.float32(np.sqrt(2 / 3) * (d + 1))  # the standard deviation of the blur, page 6 of the paper
    elevated = np.empty((d + 1, n), np.float32)
    total = np.zeros(n, np.float32)
    for i in range(d, 0, -1):
        x = features[:, i - 1] * np.float32(1 / np.sqrt((i + 1) * i) * spread)
        elevated[i] = total - np.float32(i) * x
        total += x
    elevated[0] = total
    if np.abs(elevated).max() > FARTHEST * (d + 1):
        raise DataError("features too far apart for the lattice: the standard deviations are too small")

    nearest = np.rint(elevated * np.float32(1 / (d + 1)))
    away = elevated - nearest * np.float32(d + 1)
    ranks[:] = nearest.sum(axis=0).astype(np.int8)
    for i in range(d):
        for j in range(i + 1, d + 1):
            less = away[i] < away[j]
            ranks[i] += less
            ranks[j] += ~less
    shift = (ranks < 0).astype(np.int8) - (ranks > d)  # back onto the plane where coordinates sum to zero
    ranks += shift * np.int8(d + 1)
    nearest += shift
    cells[:] = nearest

    away = (elevated - nearest * np.float32(d + 1)) * np.float32(1 / (d + 1))
    by_rank = np.empty_like(away)
    np.put_along_axis(by_rank, ranks.astype(np.intp), away, axis=0)
    weights[0] = by_rank[d] + (1 - by_rank[0])
    weights[1:] = by_rank[d - 1 :: -1] - by_rank[:0:-1]


def _encode(
    cells: np.ndarray, ranks: np.ndarray, lowest: np.ndarray, strides: np.ndarray, codes: np.ndarray
) -> None:
    """Code the corners: corner k lies at `k + (d + 1) (cell - [rank > d - k])`, and k is coded by its row."""
    d, n = len(strides), cells.shape[1]
    codes[0] = -(lowest @ strides)
    for i in range(d):
        codes[0] += cells[i] * strides[i]
    by_rank = np.empty((d + 1, n), np.int64)
    np.put_along_axis(by_rank, ranks.astype(np.intp), np.append(strides, 0)[:, None], axis=0)
    for k in range(1, d + 1):
        np.subtract(codes[k - 1], by_rank[d + 1 - k], out=codes[k])


def _sort(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort points by code: the points, where each distinct code starts, and the distinct codes."""
    bits = len(codes).bit_length()
    if int(codes.max()).bit_length() + bits <= 63:
        packed = codes << bits  # sorting one packed array is much faster than argsort
        packed |= np.arange(len(codes))
        packed.sort()
        points, codes = (packed & ((1 << bits) - 1)).astype(np.int32), packed >> bits
    else:
        points = np.argsort(codes, kind="stable").astype(np.int32)
        codes = codes[points]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    return points, starts, codes[starts]


def _connect(
    codes: list[np.ndarray], offsets: np.ndarray, colour: int, strides: np.ndarray, neighbours: np.ndarray
) -> None:
    """Find the neighbours of one colour: a step down in every coordinate, and `d + 1` up in one of them."""
    d = len(strides)
    before = (colour - 1) % (d + 1)
    down = 0 if colour else -strides.sum()
    for j in range(d + 1):
        wanted = codes[colour] + (down + (strides[j] if j < d else 0))
        found = np.searchsorted(codes[before], wanted)
        found[found == len(codes[before])] = 0
        here = np.flatnonzero(codes[before][found] == wanted)
        mine, other = here + offsets[colour], found[here] + offsets[before]
        neighbours[j, 0, mine] = other
        neighbours[j, 1, other] = mine
