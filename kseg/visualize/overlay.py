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
    """Class ids as their colours; ignored pixels in VOC's cream.

    Args:
        labels: integer class ids `(height, width)`.
        palette: an RGB colour per class (0-255); None: VOC's colour map.
        ignore_label: the id of pixels without a class, or None.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Raises:
        DataError: labels that are not integers `(height, width)`, or an id without a colour.

    Example:

    >>> from kseg.visualize.overlay import colourise
    >>> colourise(np.array([[0, 1, 255]]), [(0, 0, 0), (128, 64, 128)]).tolist()
    [[[0, 0, 0], [128, 64, 128], [224, 224, 192]]]
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
    """The image with its classes painted over it.

    Args:
        image: uint8 RGB `(height, width, 3)`.
        labels: integer class ids `(height, width)`.
        palette: an RGB colour per class; None: VOC's colour map. A class whose colour is black (VOC's
            background) is not painted, nor are ignored pixels.
        alpha: how opaque the paint is, 0 to 1.
        ignore_label: the id of pixels without a class, or None.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Raises:
        DataError: sizes that differ, or an id without a colour.
        SettingsError: `alpha` outside 0-1.

    Example:

    >>> from kseg.visualize.overlay import overlay
    >>> image, labels = np.full((1, 2, 3), 100, np.uint8), np.array([[0, 1]])
    >>> overlay(image, labels, [(0, 0, 0), (200, 0, 0)]).tolist()  # black classes are not painted
    [[[100, 100, 100], [150, 50, 50]]]
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
    """Each class's share of the pixels that have a class.

    Args:
        labels: integer class ids `(height, width)`, at least 0.
        num_classes: ids from there on do not count.
        ignore_label: the id of pixels without a class, or None.

    Returns:
        float64 `(num_classes,)`, which sums to 1; zeros where no pixel has a class.

    Example:

    >>> from kseg.visualize.overlay import class_shares
    >>> class_shares(np.array([[0, 0, 2, 2, 255]]), 3)
    array([0.5, 0. , 0.5])
    """
    counts = np.bincount(labels.ravel(), minlength=num_classes)
    if ignore_label is not None and ignore_label < len(counts):
        counts[ignore_label] = 0
    counts = counts[:num_classes]
    return counts / max(counts.sum(), 1)
