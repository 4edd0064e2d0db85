"""Steady labels from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np


class Smoothing:
    """A moving average of probabilities, against flicker.

    ``p = weight * before + (1 - weight) * now``; where the two differ by more than ``jump`` the new value counts
    alone, so that what moves leaves no trail. A change of size begins anew.

    Args:
        weight: of the average before, 0 (off) to below 1.
        jump: difference of a probability from which something has moved.
    """

    def __init__(self, weight: float = 0.6, jump: float = 0.6):
        self.weight, self.jump = weight, jump
        self._before: np.ndarray | None = None

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        if probabilities.ndim == 2:  # class ids: there is nothing to average
            return probabilities
        before = self._before
        if not self.weight or before is None or before.shape != probabilities.shape:
            self._before = probabilities
            return probabilities
        if probabilities.shape[-1] == 2:  # one of the two says it all
            mixed = of_two(self._mixed(*(np.ascontiguousarray(p[..., 1]) for p in (before, probabilities))))
        else:
            mixed = self._mixed(before, probabilities)
        self._before = mixed
        return mixed

    def _mixed(self, before: np.ndarray, now: np.ndarray) -> np.ndarray:
        mixed = cv2.addWeighted(before, self.weight, now, 1 - self.weight, 0).reshape(now.shape)
        moved = cv2.absdiff(before, now).reshape(now.shape) > self.jump
        moved = moved if now.ndim == 2 else moved.any(-1)
        if moved.any():
            mixed[moved] = now[moved]
        return mixed

    def reset(self) -> None:
        """Forget what was before."""
        self._before = None


def of_two(second: np.ndarray) -> np.ndarray:
    """Probabilities (h, w, 2) of two classes by those of the second, each class in one piece of memory."""
    planes = np.empty((2, *second.shape), np.float32)
    np.subtract(1, second, out=planes[0])
    planes[1] = second
    return planes.transpose(1, 2, 0)


def labels_of(probabilities: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class ids uint8 (height, width) at a frame's size.

    Two classes are enlarged as probabilities, so that the outline is smooth; more classes by their ids, and ids
    (h, w) as they are.
    """
    target = size[::-1]
    if probabilities.ndim == 2:
        return cv2.resize(probabilities, target, interpolation=cv2.INTER_NEAREST)
    if probabilities.shape[-1] == 2:
        person = np.ascontiguousarray(probabilities[..., 1])
        large = cv2.resize(person, target, interpolation=cv2.INTER_LINEAR)
        return (large > 0.5).view(np.uint8)
    return cv2.resize(probabilities.argmax(-1).astype(np.uint8), target, interpolation=cv2.INTER_NEAREST)
