"""The mean-field iterations of a dense CRF in NumPy, for where TensorFlow is not installed: the same, only slower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kseg.inference.crf.permutohedral import PermutohedralLattice


class PlainKernel(NamedTuple):
    """A symmetrically normalised Gaussian kernel over the points of a lattice."""

    lattice: PermutohedralLattice
    norm: np.ndarray  # float32 (points,): 1 / sqrt(filter(1)), on both sides

    def __call__(self, values: np.ndarray) -> np.ndarray:
        norm = self.norm[:, None]
        return norm * self.lattice.filter(norm * values)


def iterated(
    probabilities: np.ndarray,
    rest: np.ndarray,
    kernels: Sequence[PlainKernel],
    weights: Sequence[float],
    iterations: int,
    floor: float,
    compatibility: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities after the iterations, and what those of the classes in `rest` are multiplied by."""
    clipped = probabilities.clip(floor, 1)
    unary = np.log(clipped)
    share = 1 / (clipped.sum(axis=1, keepdims=True) + rest)
    q = clipped * share
    for _ in range(iterations):
        # What Potts takes from all the other classes, it may as well add to a class's own.
        agreement = q if compatibility is None else -q @ compatibility
        logits = unary + sum(
            (np.float32(w) * kernel(agreement) for w, kernel in zip(weights, kernels, strict=True)),
            np.float32(0),
        )
        top = logits.max(axis=1, keepdims=True)
        q, share = np.exp(logits - top), np.exp(np.minimum(-top, 80))  # finite for the smallest floors too
        total = q.sum(axis=1, keepdims=True) + rest * share
        q, share = q / total, share / total
    return q, share
