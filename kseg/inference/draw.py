"""Pictures of label maps: colours, overlays, legends, and grids of image, truth and prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from kseg.errors import DataError, SettingsError
from kseg.inference.palette_png import Palette, default_palette, palette_table, write_palette_png
from kseg.inference.text import PAPER, fitted, put_text, text_width

__all__ = [
    "class_shares",
    "colourise",
    "default_palette",
    "grid",
    "legend",
    "overlay",
    "with_legend",
    "write_palette_png",
]

IGNORED = (224, 224, 192)  # what VOC's viewers show for its void
NARROWEST = 240  # a legend needs some room, however small the picture
FRAME = (150, 150, 150)


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
    table = _colours(palette, labels)
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
    """The picture with its classes painted over it, uint8 (H, W, 3).

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
        raise SettingsError(f"alpha is 0 (only the picture) to 1 (only the classes); got {alpha}")
    paint = colourise(labels, palette, ignore_label)
    painted = cv2.addWeighted(image, 1 - alpha, paint, alpha, 0)
    bare = ~_colours(palette, labels).any(axis=-1)
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


def legend(
    classes: Sequence[str],
    palette: Palette | None = None,
    shares: Sequence[float] | None = None,
    width: int = 480,
    size: int = 13,
) -> np.ndarray:
    """A panel of colour swatches and class names, uint8 (height, width, 3).

    Args:
        classes: class names.
        palette: an RGB colour per class; None: VOC's colour map.
        shares: each class's share of the pixels; those above zero are listed, the largest first, with
            percentages.
            None: all classes in their order.
        width: of the panel, in pixels; entries flow into as many rows as they need.
        size: of the font, in pixels.
    """
    table = _colours(palette, np.array([max(len(classes) - 1, 0)]))
    if shares is None:
        entries = [(name, table[i]) for i, name in enumerate(classes)]
    else:
        order = [i for i in np.argsort(-np.asarray(shares), kind="stable") if shares[i] > 0]
        entries = [(f"{classes[i]} {_percent(shares[i])}", table[i]) for i in order]
    places, rows = _flow([text_width(text, size) for text, _ in entries], width, size)
    line = round(size * 1.7)
    panel = np.empty((rows * line + size // 2 * 2, width, 3), np.uint8)
    panel[:] = PAPER
    for (text, colour), (left, row) in zip(entries, places, strict=True):
        baseline = size // 2 + row * line + round(line * 0.5 + size * 0.36)
        _swatch(panel, left, baseline, size, colour)
        text_left = left + round(size * 1.5)
        put_text(panel, fitted(text, size, width - text_left - 2), text_left, baseline, size)
    return panel


def with_legend(
    picture: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    palette: Palette | None = None,
    ignore_label: int | None = 255,
) -> np.ndarray:
    """A picture (an overlay, say) with the legend of the classes in ``labels`` below it, uint8 (H', W', 3).

    Pictures too narrow to read a legend under are enlarged by a whole number and centred.
    """
    picture = _at_least(picture, NARROWEST)
    height, width = picture.shape[:2]
    size = int(np.clip(round(min(width, 1.5 * height) / 60), 13, 60))
    panel = legend(classes, palette, class_shares(labels, len(classes), ignore_label), width, size)
    return np.concatenate([picture, panel])


def grid(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray | None],
    predictions: Sequence[np.ndarray],
    palette: Palette | None = None,
    *,
    classes: Sequence[str] = (),
    captions: Sequence[str] = (),
    header: Sequence[str] = ("image", "truth", "prediction"),
    cell: int = 320,
    ignore_label: int | None = 255,
) -> np.ndarray:
    """A sheet with one row a picture: image, truth, prediction; uint8 (height, width, 3).

    Args:
        images: uint8 (H, W, 3) arrays of any sizes.
        truths, predictions: class ids (H, W) for each image; a truth may be None.
        palette: an RGB colour per class; None: VOC's colour map.
        classes: class names; with them a legend stands below.
        captions: a line of text above each row (its name and score, say).
        header: the columns' titles.
        cell: width of a column in pixels.
        ignore_label: the id of pixels without a class, or None.
    """
    counts = len(images), len(truths), len(predictions)
    if len(set(counts)) > 1 or not counts[0]:
        raise DataError(f"A grid needs as many truths and predictions as images; got {counts}")
    gap, width = 6, 3 * cell + 4 * 6
    bars = [_bar([fitted(title, 15, cell) for title in header], cell, gap, width, size=15)]
    for i, (image, truth, prediction) in enumerate(zip(images, truths, predictions, strict=True)):
        if captions:
            bars.append(_bar([fitted(captions[i], 13, width - 2 * gap)], cell, gap, width, size=13))
        maps = [None if x is None else colourise(x, palette, ignore_label) for x in (truth, prediction)]
        bars.append(_row([image, *maps], cell, gap, width))
    if classes:
        bars.append(legend(classes, palette, width=width))
    return np.concatenate(bars)


def _row(pictures: Sequence[np.ndarray | None], cell: int, gap: int, width: int) -> np.ndarray:
    """Pictures of one size side by side, as wide as a cell, none taller than twice its width."""
    height, wide = pictures[0].shape[:2]
    scale = min(cell / wide, 2 * cell / height)
    shown = (max(round(wide * scale), 1), max(round(height * scale), 1))
    row = np.empty((shown[1] + gap, width, 3), np.uint8)
    row[:] = PAPER
    for i, picture in enumerate(pictures):
        if picture is None:
            continue
        method = _enlarging(scale) if i == 0 else cv2.INTER_NEAREST
        left = gap + i * (cell + gap) + (cell - shown[0]) // 2
        row[: shown[1], left : left + shown[0]] = cv2.resize(picture, shown, interpolation=method)
    return row


def _enlarging(scale: float) -> int:
    """How a photograph is best resized: a few pixels shown large stay pixels."""
    if scale > 2:
        return cv2.INTER_NEAREST
    return cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR


def _bar(texts: Sequence[str], cell: int, gap: int, width: int, size: int) -> np.ndarray:
    bar = np.empty((round(size * 1.8), width, 3), np.uint8)
    bar[:] = PAPER
    for i, text in enumerate(texts):
        put_text(bar, text, gap + i * (cell + gap), round(size * 1.25), size)
    return bar


def _flow(widths: Sequence[int], width: int, size: int) -> tuple[list[tuple[int, int]], int]:
    """(left, row) of each entry, and the number of rows: columns of equal width, as many as fit."""
    entry = max(widths, default=0) + round(size * 2.8)
    columns = max((width - size) // entry, 1)
    places = [(size // 2 + (i % columns) * entry, i // columns) for i in range(len(widths))]
    return places, math.ceil(len(widths) / columns)


def _swatch(panel: np.ndarray, left: int, baseline: int, size: int, colour: np.ndarray) -> None:
    top = baseline - round(size * 0.8)
    cv2.rectangle(panel, (left, top), (left + size, top + size), tuple(int(v) for v in colour), -1)
    cv2.rectangle(panel, (left, top), (left + size, top + size), FRAME, 1)


def _percent(share: float) -> str:
    return "< 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def _at_least(picture: np.ndarray, width: int) -> np.ndarray:
    """The picture enlarged by a whole number to ``width`` or more, and centred where it is still narrower."""
    height, wide = picture.shape[:2]
    factor = max(min(math.ceil(width / wide), 1200 // height), 1)
    picture = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    missing = max(width - picture.shape[1], 0)
    if not missing:
        return picture
    sides = ((0, 0), (missing // 2, missing - missing // 2), (0, 0))
    return np.pad(picture, sides, constant_values=PAPER[0])


def _colours(palette: Palette | None, labels: np.ndarray) -> np.ndarray:
    """uint8 (n, 3), n at least 256 and above every label: the palette, and VOC's colours for the rest."""
    highest = int(np.max(labels, initial=0))
    count = len(palette) if palette is not None else 0
    if max(highest + 1, count) <= 256:
        return palette_table(palette)
    table = np.array(default_palette(max(highest + 1, count)), np.uint8)
    if count:
        table[:count] = np.asarray(palette, np.uint8)
    return table
