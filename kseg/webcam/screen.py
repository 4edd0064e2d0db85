"""Drawing a frame for the screen: paint, background, legend, times, messages, help."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from kseg.webcam.matting import Matting
from kseg.webcam.view import KEYS, View

_text_size = lru_cache(1024)(cv2.getTextSize)
FONT = cv2.FONT_HERSHEY_SIMPLEX
WHITE, DARK = (255, 255, 255), (25, 25, 25)
LEAST_SHARE = 0.001  # of the pixels, to be in the legend


class Painter:
    """Draws over BGR frames.

    Args:
        classes: their names.
        palette: an RGB colour a class. Class 0 is left unpainted where it is called background.
        background: what "replace" puts behind, an RGB colour or a BGR image.
    """

    def __init__(
        self,
        classes: Sequence[str],
        palette: Sequence[Sequence[int]],
        background: tuple[int, int, int] | np.ndarray = (0, 160, 80),
    ) -> None:
        self.classes, self.palette = tuple(classes), tuple(palette)
        self._colours = np.zeros((256, 1, 3), np.uint8)
        for i, colour in enumerate(self.palette[:256]):
            self._colours[i, 0] = colour[::-1]
        self._unpainted = 0 if self.classes[0].lower() in ("background", "unlabeled", "void") else None
        self._behind, self._fitted = background, None
        self._matting = Matting()
        self._flat: tuple[tuple, np.ndarray] | None = None

    def __call__(
        self, frame: np.ndarray, labels: np.ndarray, view: View, probabilities: np.ndarray | None = None
    ) -> np.ndarray:
        """The painted frame; the frame itself stays as it was.

        With the probabilities `(h, w, classes)` behind the labels, a background ends at the edges of the frame itself.
        """
        drawn = self._replaced(frame, labels, view.background, probabilities)
        if view.alpha > 0:
            drawn = self._painted(drawn, labels, view)
        return cv2.flip(drawn, 1) if view.mirror else drawn

    def _painted(self, frame: np.ndarray, labels: np.ndarray, view: View) -> np.ndarray:
        if view.only is not None:
            shown = (labels == view.only).view(np.uint8)  # where paint goes; zero elsewhere
        else:
            shown = labels if self._unpainted == 0 else np.ones_like(labels)
        left, top, width, height = cv2.boundingRect(shown)  # nothing outside is touched
        if not width:
            return frame
        place = np.s_[top : top + height, left : left + width]
        alone = 1 if self._unpainted == 0 and len(self.classes) == 2 else None
        alone = alone if view.only is None else view.only
        if alone is None:
            colours = cv2.LUT(cv2.merge([labels] * 3), self._colours.reshape(1, 256, 3))
        else:  # one colour for every pixel, which is kept
            if self._flat is None or self._flat[0] != (alone, labels.shape):
                colours = np.full((*labels.shape, 3), self._colours[alone], np.uint8)
                self._flat = ((alone, labels.shape), colours)
            colours = self._flat[1]
        drawn = frame.copy()
        mixed = cv2.addWeighted(frame[place], 1 - view.alpha, colours[place], view.alpha, 0)
        cv2.copyTo(mixed, shown[place], drawn[place])
        return drawn

    def _replaced(
        self, frame: np.ndarray, labels: np.ndarray, how: str, probabilities: np.ndarray | None
    ) -> np.ndarray:
        if how == "picture":
            return frame
        if probabilities is not None and probabilities.ndim == 3:
            share = self._matting(probabilities, frame)
        else:  # a narrow soft edge, in eight bits
            share = cv2.GaussianBlur((labels > 0).astype(np.uint8) * 255, (0, 0), 1.5)
        if how == "blur":
            behind = _blurred(frame, share)
        else:
            if self._fitted is None or self._fitted.shape != frame.shape:
                if isinstance(self._behind, np.ndarray):
                    self._fitted = cv2.resize(self._behind, frame.shape[1::-1], interpolation=cv2.INTER_AREA)
                else:
                    self._fitted = np.full(frame.shape, self._behind[::-1], np.uint8)
            behind = self._fitted
        share = cv2.merge([share] * 3)
        front = cv2.multiply(frame, share, scale=1 / 255)
        return cv2.add(front, cv2.multiply(behind, cv2.bitwise_not(share), scale=1 / 255))


def _blurred(frame: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The background strongly blurred, made on an eighth of the size.

    The mean is of the background alone, as a bright person would shine into it all around.
    """
    small = cv2.resize(frame, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA).astype(np.float32)
    free = (
        1.001 - cv2.resize(share, small.shape[1::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    )
    summed, weight = (cv2.GaussianBlur(one, (0, 0), 2) for one in (small * free[..., None], free))
    behind = (summed / weight[..., None]).round().astype(np.uint8)
    return cv2.resize(behind, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)


def shares(labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Share of the pixels of each class."""
    if num_classes == 2 and labels.max(initial=0) < 2:
        second = cv2.countNonZero(labels) / max(labels.size, 1)
        return np.array([1 - second, second])
    some = np.ascontiguousarray(labels[::2, ::2])
    counts = cv2.calcHist([some], [0], None, [max(num_classes, 256)], [0, max(num_classes, 256)]).ravel()
    return counts[:num_classes] / max(counts[:num_classes].sum(), 1)


def legend(drawn: np.ndarray, labels: np.ndarray, painter: Painter, lines: Sequence[str], view: View) -> None:
    """Write class names with their shares, and lines of text, into the frame's upper left corner."""
    part = shares(labels, len(painter.classes))
    order = [int(i) for i in np.argsort(-part, kind="stable")[:8] if part[i] >= LEAST_SHARE]
    rows = [(painter.palette[i][::-1], f"{painter.classes[i]} {part[i]:.0%}") for i in order]
    if view.only is not None:
        rows.insert(0, (WHITE, f"only {painter.classes[view.only]}"))
    scale, step = _scale(drawn)
    texts = [text for _, text in rows] + list(lines)
    width = max((_text_size(text, FONT, scale, 1)[0][0] for text in texts), default=0) + 2 * step
    _shade(drawn, 0, 0, width, step * len(texts) + step // 2)
    for place, text in enumerate(texts):
        y = step * (place + 1)
        if place < len(rows):
            colour = tuple(int(v) for v in rows[place][0])
            cv2.rectangle(drawn, (step // 3, y - step // 2), (step, y), colour, -1)
        x = int(1.3 * step) if place < len(rows) else step // 3
        cv2.putText(drawn, text, (x, y), FONT, scale, WHITE, 1, cv2.LINE_AA)


def message(drawn: np.ndarray, text: str, place: float = 0.5) -> None:
    """Write a line across the frame, at `place` of its height."""
    scale, step = _scale(drawn)
    (width, _), _ = _text_size(text, FONT, scale, 1)
    scale *= min(1, 0.95 * drawn.shape[1] / max(width, 1))
    (width, _), _ = _text_size(text, FONT, scale, 1)
    y = int(drawn.shape[0] * place)
    _shade(drawn, 0, y - step, drawn.shape[1], y + step // 2)
    cv2.putText(drawn, text, ((drawn.shape[1] - width) // 2, y), FONT, scale, WHITE, 1, cv2.LINE_AA)


def help_text(drawn: np.ndarray) -> None:
    """Write the keys across the frame."""
    scale, step = _scale(drawn)
    _shade(drawn, 0, 0, drawn.shape[1], drawn.shape[0])
    for place, (key, what) in enumerate(KEYS):
        y = int(1.4 * step) * (place + 1)
        cv2.putText(drawn, key, (step, y), FONT, scale, WHITE, 1, cv2.LINE_AA)
        cv2.putText(drawn, what, (6 * step, y), FONT, scale, WHITE, 1, cv2.LINE_AA)


def _scale(drawn: np.ndarray) -> tuple[float, int]:
    """Size of the font and height of a line for this frame."""
    scale = max(min(drawn.shape[0], drawn.shape[1]) / 960, 0.35)
    return scale, int(32 * scale) + 4


def _shade(drawn: np.ndarray, left: int, top: int, right: int, bottom: int) -> None:
    part = drawn[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if part.size:
        part[:] = cv2.convertScaleAbs(part, None, 0.4, 0)
