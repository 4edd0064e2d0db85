"""`Augment` and `centre` in NumPy: the geometry and draws of kseg/data/augment.py, for where TensorFlow is missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from kseg.data.plain.draws import uniform
from kseg.io.bands import BYTES

if TYPE_CHECKING:
    from kseg.data.augment import Augment

MEAN_COLOUR = (124.0, 116.0, 104.0)  # ImageNet's mean, as Caffe's networks subtract it
_LUMA = np.float32((0.299, 0.587, 0.114))
_TO_YIQ = np.float32(((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312)))


def augmented(
    settings: Augment,
    image: np.ndarray,
    label: np.ndarray,
    size: tuple[int, int] | None,
    seed: tuple[int, int],
    ignore_label: int,
    value_range: tuple[float, float] = BYTES,
) -> tuple[np.ndarray, np.ndarray]:
    """Change an image and its mask, or its masks, as `settings` say.

    Mask and geometry are TensorFlow's to the bit; colours may differ by a grey level where float32 is rounded.
    """
    draw = np.float32(uniform([int(part) for part in np.asarray(seed)], 13))
    image, label = np.asarray(image), np.asarray(label)
    target = image.shape[:2] if size is None else tuple(size)
    x, y = _positions(settings, draw, image.shape[:2], target)
    # The nearest; halves away from zero, as std::round.
    columns, rows = (np.trunc(at + np.copysign(np.float32(0.5), at)) for at in (x, y))
    nearest = _within(rows, label.shape[0]), _within(columns, label.shape[1])
    label = _bordered(label, ignore_label)[nearest]
    # The fourth channel tells how much of a pixel comes from inside of the image.
    rgb = (image.shape[-1], tuple(value_range)) == (3, BYTES)
    image = np.concatenate([image, np.ones_like(image[..., :1])], axis=-1).astype(np.float32)
    image = _bilinear(image, x, y)
    image = _recoloured(settings, draw, image) if rgb else _rescaled(settings, draw, image, value_range)
    if settings.blur and draw[11] < 0.5:
        image = _blurred(image, draw[10] * np.float32(settings.blur), settings.blur)
    image = image.clip(*map(np.float32, value_range))
    return (np.round(image).astype(np.uint8) if tuple(value_range) == BYTES else image), label


def centre(
    image: np.ndarray,
    label: np.ndarray,
    size: tuple[int, int],
    ignore_label: int,
    value_range: tuple[float, float] = BYTES,
) -> tuple[np.ndarray, np.ndarray]:
    """The middle of an image and its mask at `size`, cut or padded (mean colour, `ignore_label`)."""
    rgb = (image.shape[-1], tuple(value_range)) == (3, BYTES)
    found = (
        np.empty((*size, image.shape[-1]), image.dtype),
        np.full((*size, *label.shape[2:]), ignore_label, label.dtype),
    )
    found[0][:] = MEAN_COLOUR if rgb else sum(value_range) / 2
    excess = [own - wanted for own, wanted in zip(image.shape, size, strict=False)]
    source = tuple(slice(max(e, 0) // 2, max(e, 0) // 2 + s) for e, s in zip(excess, size, strict=True))
    place = tuple(
        slice(max(-e, 0) // 2, max(-e, 0) // 2 + min(own, s))
        for e, s, own in zip(excess, size, image.shape, strict=False)
    )
    for into, part in zip(found, (image, label), strict=True):
        into[place] = part[source]
    return found


def _positions(
    settings: Augment, draw: np.ndarray, own_size: tuple[int, int], target: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Where in the image each pixel of the result is read, (height, width) each, from pixel centres."""
    low, high = settings.scale
    factor = low + draw[0] * np.float32(high - low)
    own_size, target_size = np.float32(own_size), np.float32(target)
    window = target_size / factor
    origin = np.round((own_size - window) * draw[1:3])
    if settings.jitter:
        origin += np.round((2 * draw[3:5] - 1) * np.float32(settings.jitter))
    middle, half = (origin + window / 2)[::-1], target_size[::-1] / 2  # x before y
    angle = (2 * draw[5] - 1) * np.float32(settings.rotate * math.pi / 180)
    sine, cosine = np.sin(angle) / factor, np.cos(angle) / factor
    side = np.float32(-1 if settings.mirror and draw[6] < 0.5 else 1)
    columns, rows = np.arange(target[1], dtype=np.float32), np.arange(target[0], dtype=np.float32)[:, None]
    found, at = [], half - np.float32(0.5)
    for (a, b), start in zip(((side * cosine, -side * sine), (sine, cosine)), middle, strict=True):
        found.append(a * columns + b * rows + (start - np.float32(0.5) - a * at[0] - b * at[1]))
    return tuple(found)


def _bordered(pixels: np.ndarray, fill: float) -> np.ndarray:
    return np.pad(pixels, ((1, 1), (1, 1), *[(0, 0)] * (pixels.ndim - 2)), constant_values=fill)


def _within(positions: np.ndarray, length: int) -> np.ndarray:
    """Whole positions as places in what `_bordered` gave; all that lies outside is its border."""
    return positions.clip(-1, length).astype(np.intp) + 1


def _bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    left, top = np.floor(x), np.floor(y)
    bordered = _bordered(image, 0)
    rows = [_within(top + step, image.shape[0]) for step in (0, 1)]
    columns = [_within(left + step, image.shape[1]) for step in (0, 1)]
    right, below = (x - left)[..., None], (y - top)[..., None]
    upper, lower = (
        bordered[row, columns[0]] * (1 - right) + bordered[row, columns[1]] * right for row in rows
    )
    return upper * (1 - below) + lower * below


def _recoloured(settings: Augment, draw: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Colour change and padding in one product with a 4x3 matrix; see `Augment`."""
    mean, matrix, offset = np.float32(MEAN_COLOUR), np.eye(3, dtype=np.float32), np.zeros(3, np.float32)
    if settings.changes_colours:
        brightness, contrast, saturation = (
            1 + (2 * draw[place] - 1) * np.float32(amount)
            for place, amount in ((7, settings.brightness), (8, settings.contrast), (9, settings.saturation))
        )
        total = image.sum(axis=(0, 1), dtype=np.float64).astype(np.float32)
        grey = total[:3] @ _LUMA / max(total[3], np.float32(1))
        angle = (2 * draw[12] - 1) * np.float32(settings.hue * 2 * math.pi)
        forward, sine, cosine = _TO_YIQ.T, np.sin(angle), np.cos(angle)
        turn = np.float32([[1, 0, 0], [0, cosine, sine], [0, -sine, cosine]])
        turn = forward @ turn @ np.linalg.inv(forward)
        mix = saturation * matrix + (1 - saturation) * np.tile(_LUMA[:, None], [1, 3])
        matrix = brightness * contrast * (mix @ turn)
        offset = (1 - contrast) * brightness * grey * np.ones(3, np.float32)
    return image @ np.concatenate([matrix, (offset - mean)[None]]).astype(np.float32) + mean


def _rescaled(
    settings: Augment, draw: np.ndarray, image: np.ndarray, value_range: tuple[float, float]
) -> np.ndarray:
    """Brightness and contrast of every channel, and padding with the middle of the range; see `Augment`."""
    low, high = map(np.float32, value_range)
    values, inside = image[..., :-1], image[..., -1:]
    brightness, contrast = (
        1 + (2 * draw[place] - 1) * np.float32(amount)
        for place, amount in ((7, settings.brightness), (8, settings.contrast))
    )
    mean = values.sum(axis=(0, 1), dtype=np.float64) / max(inside.sum(dtype=np.float64), 1)
    mean = mean.astype(np.float32)
    changed = (contrast * values + (1 - contrast) * mean * inside - low * inside) * brightness + low * inside
    return changed + (1 - inside) * (low + high) / 2


def _blurred(image: np.ndarray, sigma: np.float32, largest: float) -> np.ndarray:
    radius = max(1, math.ceil(2 * largest))
    weights = np.exp(-(np.arange(-radius, radius + 1, dtype=np.float32) ** 2) / (2 * max(sigma, 0.01) ** 2))
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (0, 1):
        padded = np.pad(image, [(radius, radius) if a == axis else (0, 0) for a in range(3)], "edge")
        length = image.shape[axis]
        image = sum(w * padded.take(range(n, n + length), axis) for n, w in enumerate(weights))
    return image
