"""Scores of people's masks by the share of the image that is person, and windows about heads and shoulders."""

from itertools import chain

import numpy as np

CUTS = (0, 0.1, 0.2, 0.3, 0.5, 1.01)
NAMES = ("< 10 %", "10-20 %", "20-30 %", "30-50 %", "> 50 %")
IGNORED = 255


def counts(person: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Confusion matrix (2, 2) of a boolean prediction and a mask of 0, 1 and 255 for ignored."""
    known = mask != IGNORED
    return np.bincount(2 * (mask[known] == 1) + person[known], minlength=4).reshape(2, 2).astype(float)


def mean_iou(confusion: np.ndarray) -> float:
    """Of background and person."""
    right = confusion.diagonal()
    return float(np.mean(right / np.maximum(confusion.sum(0) + confusion.sum(1) - right, 1)))


def by_slice(predictions, masks, sources) -> dict:
    """Scores of boolean predictions.

    Returns:
        `slices`: mean IoU of all pixels of a slice; `images`: how many; `slices_by_image` and `mean_by_image`: the
        mean over images; `by_source`; `empty`: the share of pixels called person in images without people, by source.
    """
    pooled, single = np.zeros((5, 2, 2)), [[] for _ in NAMES]
    by_source, empty = {}, {}
    for person, mask, source in zip(predictions, masks, sources, strict=True):
        known, share = mask != IGNORED, (mask == 1).mean()
        if not share:
            empty.setdefault(source, []).append(person[known].mean())
            continue
        number, confusion = np.searchsorted(CUTS, share, "right") - 1, counts(person, mask)
        pooled[number] += confusion
        single[number].append(mean_iou(confusion))
        by_source.setdefault(source, []).append(single[number][-1])
    return {
        "slices": [_rounded([mean_iou(one)]) if one.any() else None for one in pooled],
        "images": [len(one) for one in single],
        "slices_by_image": [_rounded(one) for one in single],
        "mean_by_image": _rounded(list(chain(*single))),
        "by_source": {source: _rounded(one) for source, one in by_source.items()},
        "empty": {source: _rounded(one, 5) for source, one in empty.items()},
        "empty_mean": _rounded(list(chain(*empty.values())), 5),
    }


def _rounded(values: list, digits: int = 4) -> float | None:
    return round(float(np.mean(values)), digits) if values else None


def portrait_window(mask: np.ndarray, body: np.ndarray, rng: np.random.Generator) -> tuple | None:
    """A window about the upper part of a body that fills 45-90 % of it, as in front of a webcam.

    Args:
        mask: (height, width) of the whole image.
        body: left, top, width, height, area.
        rng: draws the window.

    Returns:
        (left, top, right, bottom), or None where eight draws found none.
    """
    height, width = mask.shape
    left, top, across, down, area = body
    if area < 0.04 * mask.size or min(across, down) < 60:
        return None
    for _ in range(8):
        side = np.sqrt(area / rng.uniform(0.35, 0.9)) * rng.uniform(0.5, 1)
        wide, high = min(width, side * rng.uniform(0.8, 1.25)), min(height, side)
        x = left + across / 2 + rng.uniform(-0.15, 0.15) * wide - wide / 2
        y = top + high * (rng.uniform(0.3, 0.5) - 0.5)
        x, y = int(np.clip(x, 0, width - wide)), int(np.clip(y, 0, height - high))
        window = (x, y, int(x + wide), int(y + high))
        share = (mask[y : window[3], x : window[2]] == 1).mean()
        if min(wide, high) >= 80 and 0.45 < share < 0.9:
            return window
    return None


def portraits(samples, side: int = 256, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Images and masks at side x side of windows about the largest person of each sample (`data.Sample`)."""
    import cv2

    rng, images, masks = np.random.default_rng(seed), [], []
    for sample in samples:
        if not sample.count or sample.source == "voc_animals":
            continue
        height, width = sample.size
        window = portrait_window(sample.mask[:height, :width], sample.bodies[0], rng)
        if window is None:
            continue
        x, y, right, bottom = window
        images.append(
            cv2.resize(sample.image[y:bottom, x:right], (side, side), interpolation=cv2.INTER_LINEAR)
        )
        masks.append(
            cv2.resize(sample.mask[y:bottom, x:right], (side, side), interpolation=cv2.INTER_NEAREST)
        )
    return images, masks
