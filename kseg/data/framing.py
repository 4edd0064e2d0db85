"""Photos of people as a webcam would have framed and lit them, in NumPy and OpenCV, a function of a generator."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

PERSON = 1
IGNORED = 255


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture, in pixels; ``bottom`` and ``right`` are not part of it."""

    top: int
    left: int
    bottom: int
    right: int

    def of(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(array[self.top : self.bottom, self.left : self.right] for array in arrays)


def largest_person(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of the largest connected part of the class person, or None without one."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((mask == PERSON).astype(np.uint8))
    if count < 2:
        return None
    left, top, width, height, _ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
    return int(top), int(left), int(top + height), int(left + width)


def portrait_window(mask: np.ndarray, rng: np.random.Generator) -> Window | None:
    """A window over the upper part of the largest person: head and shoulders, to half of the figure.

    A standing figure is seven to eight heads tall, so a quarter of it shows head and shoulders; of a figure that
    is wider than tall (sitting, or cut off by the picture) more is shown. None without a person of 24 pixels.
    """
    box = largest_person(mask)
    if box is None or box[2] - box[0] < 24:
        return None
    top, left, bottom, right = box
    tall = bottom - top
    standing = tall > 2 * (right - left)
    side = tall * (rng.uniform(0.25, 0.6) if standing else rng.uniform(0.5, 1.1))
    head = mask[top : top + max(int(0.3 * side), 1), left:right] == PERSON
    middle = left + np.flatnonzero(head.any(0)).mean()
    width = side * rng.uniform(0.8, 1.5)
    y = top - side * rng.uniform(0.02, 0.4)
    x = middle - width / 2 + width * rng.uniform(-0.2, 0.2)
    return clipped(y, x, side, width, mask.shape)


def random_window(size: tuple[int, ...], rng: np.random.Generator, least: float = 0.3) -> Window:
    """A window of at least ``least`` of the shorter side, anywhere."""
    shorter = min(size[:2])
    side = shorter * rng.uniform(least, 1.0)
    width = min(side * rng.uniform(0.8, 1.5), size[1])
    y, x = rng.uniform(0, size[0] - side), rng.uniform(0, max(size[1] - width, 1e-6))
    return clipped(y, x, side, width, size)


def empty_window(mask: np.ndarray, rng: np.random.Generator, tries: int = 12) -> Window | None:
    """A window without people and without ignored pixels, or None where chance finds none."""
    for _ in range(tries):
        window = random_window(mask.shape, rng, least=0.2)
        if not window.of(mask)[0].any():
            return window
    return None


def clipped(y: float, x: float, height: float, width: float, size: tuple[int, ...]) -> Window:
    """The window shifted into the picture where it fits, and cut where it does not."""
    height, width = min(height, size[0]), min(width, size[1])
    top = int(min(max(y, 0), size[0] - height))
    left = int(min(max(x, 0), size[1] - width))
    return Window(top, left, top + max(int(height), 1), left + max(int(width), 1))


def resized(image: np.ndarray, mask: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Both at (height, width): the image averaged where it shrinks, the mask by its nearest pixels."""
    smaller = image.shape[0] > size[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    target = size[::-1]
    return cv2.resize(image, target, interpolation=how), cv2.resize(
        mask, target, interpolation=cv2.INTER_NEAREST
    )


def pasted(
    image: np.ndarray, mask: np.ndarray, background: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The people of a picture before another background of the same size, with soft edges.

    Ignored pixels (the outlines in VOC) stay half of each. The background's brightness is moved towards the
    people's, as one light falls on both.
    """
    share = np.where(mask == PERSON, 1.0, np.where(mask == IGNORED, 0.5, 0.0)).astype(np.float32)
    share = cv2.GaussianBlur(share, (0, 0), rng.uniform(0.6, 1.6))[..., None]
    people = image[mask == PERSON]
    gap = (people.mean() - background.mean()) * rng.uniform(0, 0.6) if len(people) else 0.0
    if rng.random() < 0.4:  # lenses and virtual backgrounds blur what is far
        background = cv2.GaussianBlur(background, (0, 0), rng.uniform(0.8, 4))
    return _uint8(share * image + (1 - share) * (background.astype(np.float32) + gap))


def lit(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another light: gamma, colour temperature, and a brightness that falls off to one side."""
    x = (image.astype(np.float32) / 255) ** rng.uniform(0.6, 1.7)
    warmth = rng.normal(0, 0.07)
    x = x * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    rows, columns = np.mgrid[-1 : 1 : image.shape[0] * 1j, -1 : 1 : image.shape[1] * 1j].astype(np.float32)
    fall = 1 + depth * (np.cos(angle) * rows + np.sin(angle) * columns)
    return _uint8(255 * x * fall[..., None])


def degraded(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What small cameras add: lost resolution, blur of motion or focus, noise, JPEG blocks; each by chance."""
    size = image.shape[1::-1]
    if rng.random() < 0.3:
        part = rng.uniform(0.35, 0.9)
        small = cv2.resize(image, None, fx=part, fy=part, interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(2, 12), image.shape[:2])[..., None]
        image = _uint8(image + noise + rng.normal(0, 3, image.shape))
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
    return image


def _uint8(image: np.ndarray) -> np.ndarray:
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
