"""Photos of people as a webcam would have framed and lit them, in NumPy and OpenCV, a function of a generator."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

PERSON = 1
IGNORED = 255
LEAST_SIDE = 56  # of a portrait, in the photo's pixels


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, in pixels; ``bottom`` and ``right`` are not part of it."""

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
    is wider than tall (sitting, or cut off by the image) more is shown. None where that has fewer than 56 rows:
    scaled up to a portrait it would show a few blocks.
    """
    box = largest_person(mask)
    if box is None:
        return None
    top, left, bottom, right = box
    tall = bottom - top
    standing = tall > 2 * (right - left)
    side = tall * (rng.uniform(0.22, 0.55) if standing else rng.uniform(0.5, 1.1))
    if side < LEAST_SIDE:
        return None
    head = mask[top : top + max(int(0.3 * side), 1), left:right] == PERSON
    middle = left + np.flatnonzero(head.any(0)).mean()
    width = side * np.exp(rng.uniform(np.log(0.65), np.log(1.5)))  # upright images to those of cameras
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


def window_about(
    marked: np.ndarray, mask: np.ndarray, rng: np.random.Generator, tries: int = 6
) -> Window | None:
    """A window without people about the largest marked thing, where chance finds one."""
    box = largest_person(marked)
    if box is None:
        return None
    top, left, bottom, right = box
    for _ in range(tries):
        height, width = ((bottom - top) * rng.uniform(0.6, 1.6), (right - left) * rng.uniform(0.6, 1.6))
        y = (top + bottom - height) / 2 + rng.uniform(-0.3, 0.3) * (bottom - top)
        x = (left + right - width) / 2 + rng.uniform(-0.3, 0.3) * (right - left)
        window = clipped(y, x, height, width, mask.shape)
        if min(window.of(mask)[0].shape) >= 16 and not (window.of(mask)[0] == PERSON).any():
            return window
    return None


def clipped(y: float, x: float, height: float, width: float, size: tuple[int, ...]) -> Window:
    """The window shifted into the image where it fits, and cut where it does not."""
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
    """The people of an image before another background of the same size, with soft edges.

    Ignored pixels (the outlines in VOC) stay half of each. The background's brightness is moved towards the
    people's, as one light falls on both.
    """
    share = cv2.LUT(mask, _SHARE)
    share = cv2.GaussianBlur(share, (0, 0), rng.uniform(0.6, 1.6))[..., None]
    bright = cv2.mean(image, (mask == PERSON).astype(np.uint8))
    gap = (np.mean(bright[:3]) - background.mean()) * rng.uniform(0, 0.6) if (mask == PERSON).any() else 0.0
    if rng.random() < 0.4:  # lenses and virtual backgrounds blur what is far
        background = cv2.GaussianBlur(background, (0, 0), rng.uniform(0.8, 4))
    background = cv2.add(background, np.full(4, gap))
    return cv2.blendLinear(image, background, share[..., 0], 1 - share[..., 0])


def lit(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another light: gamma, colour temperature, and a brightness that falls off to one side."""
    gamma, warmth = rng.uniform(0.6, 1.7), rng.normal(0, 0.07)
    curve = 255 * (np.arange(256, dtype=np.float32)[:, None] / 255) ** gamma
    curve = curve * np.array([1 + warmth, 1, 1 - warmth], np.float32)
    x = cv2.LUT(image, curve[:, None])
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    rows = np.linspace(-1, 1, image.shape[0], dtype=np.float32)[:, None] * np.float32(np.cos(angle))
    columns = np.linspace(-1, 1, image.shape[1], dtype=np.float32) * np.float32(np.sin(angle))
    fall = 1 + np.float32(depth) * (rows + columns)
    return cv2.convertScaleAbs(cv2.multiply(x, cv2.merge([fall] * 3)))


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
        image = _noisy(image, rng)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
        image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
    return image


def _noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey and coloured noise; drawn at a quarter of the pixels' number and rolled, which takes a tenth of the time."""
    height, width = image.shape[:2]
    drawn = rng.standard_normal(height * width // 4 + 1, np.float32)
    noise = np.resize(drawn, height * width * 3 + 997).astype(np.float32)
    grey = noise[: height * width].reshape(height, width) * np.float32(rng.uniform(2, 12))
    start = int(rng.integers(997))
    coloured = noise[start : start + height * width * 3].reshape(height, width, 3) * np.float32(3)
    changed = cv2.add(cv2.add(coloured, cv2.merge([grey] * 3)), image, dtype=cv2.CV_32F)
    return np.clip(np.round(changed), 0, 255).astype(np.uint8)


_SHARE = np.zeros((1, 256), np.float32)  # of the people, by the mask's value
_SHARE[0, [PERSON, IGNORED]] = 1.0, 0.5
