"""How much of each pixel is foreground, at the frame's own size."""

from __future__ import annotations

import cv2
import numpy as np

RADIUS = 2  # of the windows, in cells of the model's map
EPSILON = 1e-4  # contrasts below its root (of 0-1) do not draw an edge
LOW, HIGH = 0.2, 0.8  # what is beyond is all background or all foreground


class Matting:
    """The foreground's share of every pixel, its edges drawn to those of the frame (fast guided filter).

    In windows of the model's map the probability is written as a line in the frame's brightness; the two
    coefficients of these lines are smooth, are upsampled, and applied to the brightness of the frame itself. So the
    outline follows hair and shoulders that the map is too coarse for.

    Call it with float32 probabilities `(h, w, classes)` at the model's size, class 0 the background, and a BGR uint8
    frame `(height, width, 3)`. It gives uint8 `(height, width)`, 0 background, 255 foreground, in memory of its own
    that the next call overwrites: new arrays of the frame's size would take longer than the arithmetic.

    Reference:
        He and Sun, "Fast guided filter", 2015 (arXiv:1505.00996), algorithm 2.

    Example:

    >>> frame = np.zeros((48, 64, 3), np.uint8)
    >>> Matting()(np.full((12, 16, 2), 0.5, np.float32), frame).shape
    (48, 64)
    """

    def __init__(self) -> None:
        self._grey = np.empty((0, 0), np.uint8)

    def __call__(self, probabilities: np.ndarray, frame: np.ndarray) -> np.ndarray:
        if self._grey.shape != frame.shape[:2]:
            self._grey, self._result = (np.empty(frame.shape[:2], np.uint8) for _ in range(2))
            self._bright, self._alpha, self._offset = (
                np.empty(frame.shape[:2], np.float32) for _ in range(3)
            )
        grey, alpha, above = self._grey, self._alpha, self._offset
        cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY, dst=grey)
        share = np.ascontiguousarray(1 - probabilities[..., 0], np.float32)
        guide = cv2.resize(grey, share.shape[::-1], interpolation=cv2.INTER_LINEAR).astype(np.float32) / 255
        # The share as a line in the brightness: its slope and offset, averaged over the windows that a cell is in.
        window = (2 * RADIUS + 1, 2 * RADIUS + 1)
        mean_guide, mean_share = cv2.blur(guide, window), cv2.blur(share, window)
        covariance = cv2.blur(guide * share, window) - mean_guide * mean_share
        variance = cv2.blur(guide * guide, window) - mean_guide * mean_guide
        slope = covariance / (variance + EPSILON)
        slope, offset = cv2.blur(slope, window), cv2.blur(mean_share - slope * mean_guide, window)
        size, stretch = grey.shape[::-1], 255 / (HIGH - LOW)
        cv2.resize(slope * (stretch / 255), size, dst=alpha, interpolation=cv2.INTER_LINEAR)
        cv2.resize((offset - LOW) * stretch, size, dst=above, interpolation=cv2.INTER_LINEAR)
        np.copyto(self._bright, grey)
        cv2.multiply(alpha, self._bright, dst=alpha)
        cv2.add(alpha, above, dst=alpha)
        cv2.threshold(alpha, 0, 0, cv2.THRESH_TOZERO, dst=alpha)
        return cv2.convertScaleAbs(alpha, dst=self._result)
