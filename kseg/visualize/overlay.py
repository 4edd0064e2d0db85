"""Label maps as colours, and painted over their images."""

from __future__ import annotations

import cv2
import numpy as np

from kseg.errors import DataError, SettingsError
from kseg.visualize.palette import Palette, colour_table

IGNORED = (224, 224, 192)  # what VOC's viewers show for its void


def colourise(
    labels: np.ndarray, palette: Palette | None = None, ignore_label: int | None = 255
) -> np.ndarray:
    """Class ids (H, W) as their colours, uint8 (H, W, 3); ignored pixels in VOC's cream.

    Args:
        labels: integer class ids (H, W).
        palette: an RGB colour per class (0-255); None: VOC's colour map.
        ignore_label: the id of pixels without a class, or None.

    Raises:
        DataError: labels that are not integers (H, W), or an id without a colour.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise DataError(f"Labels are whole numbers (height, width); got {labels.dtype} {labels.shape}")
    table = colour_table(palette, labels)
    if ignore_label is not None and 0 <= ignore_label < len(table):
        table[ignore_label] = IGNORED
    highest = int(labels.max(initial=0))
    known = (len(table) if palette is None else len(palette)) - 1
    if highest > known:
        highest = int(labels[labels != ignore_label].max(initial=0)) if ignore_label is not None else highest
    if highest > known or labels.min(initial=0) < 0:
        raise DataError(f"The labels go up to {highest}, and the palette has colours for 0 to {known}")
    return table[labels]


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    palette: Palette | None = None,
    alpha: float = 0.5,
    ignore_label: int | None = 255,
) -> np.ndarray:
    """The image with its classes painted over it, uint8 (H, W, 3).

    Args:
        image: uint8 (H, W, 3) RGB.
        labels: class ids (H, W).
        palette: an RGB colour per class; None: VOC's colour map. A class whose colour is black (VOC's
            background) is not painted, nor are ignored pixels.
        alpha: how opaque the paint is, 0 to 1.
        ignore_label: the id of pixels without a class, or None.

    Raises:
        DataError: sizes that differ, or an id without a colour. SettingsError: ``alpha`` outside 0-1.
    """
    image, labels = np.asarray(image), np.asarray(labels)
    if image.shape[:2] != labels.shape or image.dtype != np.uint8:
        raise DataError(
            f"Expected a uint8 image of the labels' size {labels.shape}; got {image.dtype} {image.shape}"
        )
    if not 0 <= alpha <= 1:
        raise SettingsError(f"alpha is 0 (only the image) to 1 (only the classes); got {alpha}")
    paint = colourise(labels, palette, ignore_label)
    painted = cv2.addWeighted(image, 1 - alpha, paint, alpha, 0)
    bare = ~colour_table(palette, labels).any(axis=-1)
    if ignore_label is not None and 0 <= ignore_label < len(bare):
        bare[ignore_label] = True
    return np.where(bare[labels][..., None], image, painted)


def class_shares(labels: np.ndarray, num_classes: int, ignore_label: int | None = 255) -> np.ndarray:
    """Each class's share of the pixels that have a class: float64 (num_classes,), zeros where there are
    none."""
    counts = np.bincount(labels.ravel(), minlength=num_classes)
    if ignore_label is not None and ignore_label < len(counts):
        counts[ignore_label] = 0
    counts = counts[:num_classes]
    return counts / max(counts.sum(), 1)
