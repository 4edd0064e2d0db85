"""Steady labels from frame to frame."""

from __future__ import annotations

import cv2
import numpy as np


class Smoothing:
    """A moving average of probabilities, against flicker.

    `p = weight * before + (1 - weight) * now`; where the two differ by more than `jump` the new value counts
    alone, so that what moves leaves no trail. A change of size begins again.

    Args:
        weight: of the average before, 0 (off) to below 1.
        jump: difference of a probability from which something has moved.
    """

    def __init__(self, weight: float = 0.6, jump: float = 0.6) -> None:
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
            mixed = self._mixed(planes_of(before), planes_of(probabilities)).transpose(1, 2, 0)
        self._before = mixed
        return mixed

    def _mixed(self, before: np.ndarray, now: np.ndarray) -> np.ndarray:
        """The average of planes (h, w) or (classes, h, w)."""
        flat = before.reshape(-1, before.shape[-1]), now.reshape(-1, now.shape[-1])
        mixed = cv2.addWeighted(flat[0], self.weight, flat[1], 1 - self.weight, 0).reshape(now.shape)
        moved = cv2.absdiff(*flat).reshape(now.shape) > self.jump
        if not moved.any():
            return mixed
        np.copyto(mixed, now, where=moved if now.ndim == 2 else moved.any(0))
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


def planes_of(probabilities: np.ndarray) -> np.ndarray:
    """(h, w, classes) as float32 (classes, h, w) in one piece of memory; no copy where it lies so already."""
    return np.ascontiguousarray(probabilities.transpose(2, 0, 1), np.float32)


def labels_of(probabilities: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Class ids uint8 (height, width) at a frame's size.

    Two classes are upsampled as probabilities, so that the outline is smooth; more classes by their ids, and ids
    (h, w) as they are.
    """
    target = size[::-1]
    if probabilities.ndim == 2:
        return cv2.resize(probabilities, target, interpolation=cv2.INTER_NEAREST)
    if probabilities.shape[-1] == 2:
        person = np.ascontiguousarray(probabilities[..., 1])
        large = cv2.resize(person, target, interpolation=cv2.INTER_LINEAR)
        return (large > 0.5).view(np.uint8)
    # The class (h, w) of the largest of planes (classes, h, w), the first of equals; faster than argmax.
    planes = planes_of(probabilities)
    best, labels = planes[0].copy(), np.zeros(planes.shape[1:], np.uint8)
    for number, plane in enumerate(planes[1:], 1):
        # Numbers grow, so the larger one is the newer: no masked copy, which is slow.
        np.maximum(labels, (plane > best).view(np.uint8) * np.uint8(number), out=labels)
        np.maximum(best, plane, out=best)
    return cv2.resize(labels, target, interpolation=cv2.INTER_NEAREST)
