"""Intervals of paired differences, and what size of effect an experiment could have seen."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kseg.metrics import mean_iou

# Student's t by degrees of freedom from 1 on: two-sided 95 %, and one-sided 80 % (the power).
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)
POWER = (1.376, 1.061, 0.978, 0.941, 0.920, 0.906, 0.896, 0.889, 0.883, 0.879, 0.876, 0.873, 0.870, 0.868)
DRAWS = 2000


@dataclass(frozen=True)
class Interval:
    """A mean difference with its interval of 95 %, and the least difference seen four times in five.

    `detectable` is (t of 95 % + t of 80 %) times the standard error: a true difference of this size gives an interval
    without zero in about 80 % of such experiments.
    """

    mean: float
    low: float
    high: float
    count: int
    detectable: float

    @property
    def half(self) -> float:
        return (self.high - self.low) / 2


def paired(differences: Sequence[float]) -> Interval | None:
    """Student's interval of paired differences; None for fewer than two."""
    count = len(differences)
    if count < 2:
        return None
    freedom = min(count - 1, len(STUDENT)) - 1
    mean = statistics.mean(differences)
    error = statistics.stdev(differences) / math.sqrt(count)
    half = STUDENT[freedom] * error
    return Interval(mean, mean - half, mean + half, count, (STUDENT[freedom] + POWER[freedom]) * error)


def bootstrap(better: np.ndarray, worse: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """The difference of two mean IoUs and its percentile interval of 95 % over images drawn with replacement.

    Args:
        better, worse: confusion matrices (images, classes, classes) of two predictions of the same images.
        seed: of the draws.

    Returns:
        Difference, lower and upper end.
    """
    images = len(better)
    draws = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), DRAWS)
    found = []
    for draw in np.concatenate([np.ones((1, images), np.int64), draws]):
        a, b = (np.tensordot(draw, confusions, 1) for confusions in (better, worse))
        found.append(mean_iou(a) - mean_iou(b))
    low, high = np.nanpercentile(found[1:], (2.5, 97.5))
    return float(found[0]), float(low), float(high)
