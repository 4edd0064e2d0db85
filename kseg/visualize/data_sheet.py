"""A contact sheet of a data set: images of any channels, with their masks painted over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kseg.visualize.grid import sheet
from kseg.visualize.legend import legend
from kseg.visualize.overlay import overlay
from kseg.visualize.palette import Palette

DARKEST, BRIGHTEST = 2, 98  # percentiles that become black and white


def data_sheet(
    images: Sequence[np.ndarray],
    masks: Sequence[np.ndarray],
    captions: Sequence[str],
    classes: Sequence[str],
    palette: Palette,
    *,
    ignore_label: int = 255,
    columns: int = 4,
    cell: int = 240,
) -> np.ndarray:
    """Images with their masks over them, and the classes below.

    Args:
        images: `(height, width, channels)` arrays of any sizes. uint8 images of one or three channels are shown as
            they are, others by their first three channels (or the first), each stretched so that 2 % of its pixels are
            black and 2 % white.
        masks: class ids `(height, width)`; or `(height, width, classes)` of 0 and 1, where classes overlap.
        captions: a line of text for each.
        classes: class names.
        palette: an RGB colour per class.
        ignore_label: the id of pixels without a class.
        columns: the most images side by side.
        cell: pixels an image may take.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Raises:
        DataError: no images, another number of captions, or a mask of another size than its image.

    Example:

    >>> from kseg.visualize.data_sheet import data_sheet
    >>> image, mask = np.zeros((30, 40, 6), np.uint16), np.zeros((30, 40), np.uint8)
    >>> data_sheet([image], [mask], ["one"], ["soil", "wheat"], [(0, 0, 0), (200, 0, 0)], cell=80).shape[1]
    92
    """
    drawn = []
    for image, mask in zip(images, masks, strict=True):
        painted = _visible(image)
        layers = (
            [mask]
            if mask.ndim == 2
            else [np.where(one == 1, i, 255) for i, one in enumerate(mask.transpose(2, 0, 1))]
        )
        for layer in layers:
            painted = overlay(painted, layer, palette, ignore_label=ignore_label if mask.ndim == 2 else 255)
        drawn.append(painted)
    found = sheet(drawn, captions, columns, cell)
    return np.concatenate([found, legend(classes, palette, width=found.shape[1])])


def _visible(image: np.ndarray) -> np.ndarray:
    """An image as a person sees it, uint8 RGB."""
    plain = image.dtype == np.uint8 and image.shape[-1] in (1, 3)
    image = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    if plain:
        return np.ascontiguousarray(image)
    low, high = np.percentile(image, (DARKEST, BRIGHTEST), axis=(0, 1))
    scaled = (image.astype(np.float64) - low) / np.maximum(high - low, np.finfo(np.float32).eps) * 255
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)
