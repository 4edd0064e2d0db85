"""Confusion matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kseg.errors import DataError
from kseg.visualize.figure import as_image, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL, SMALL_CELL = 40, 14  # pixels
MOST_NUMBERS = 40  # more classes are drawn in small cells without numbers
LARGEST = 4000  # pixels of the matrix
LONGEST_NAME = 28  # letters
RIGHT, WRONG, PAPER = (25, 90, 170), (190, 50, 35), (250, 250, 250)


def confusion_figure(confusion: np.ndarray, classes: Sequence[str]) -> Figure:
    """A confusion matrix: each row a true class, in percent of its pixels; blue what is right, red what is confused.

    Args:
        confusion: counts `(classes, classes)`, `[true, predicted]`. A class without pixels has an empty row.
        classes: class names.

    Returns:
        A matplotlib figure, to be changed further or saved.

    Raises:
        DataError: a matrix of another shape.

    Example:

    >>> from kseg.visualize.confusion import confusion_figure
    >>> figure = confusion_figure(np.array([[3, 1], [0, 4]]), ["background", "thing"])
    >>> figure.savefig("confusion.pdf")
    """
    confusion, count = np.asarray(confusion), len(classes)
    if confusion.shape != (count, count) or not count:
        raise DataError(f"Expected counts ({count}, {count}) for {count} classes; got {confusion.shape}")
    total = confusion.sum(axis=1, keepdims=True)
    shares = confusion / np.maximum(total, 1)
    strength = shares[..., None] ** 0.6  # so that a few percent can be seen
    deep = np.where(np.eye(count, dtype=bool)[..., None], RIGHT, WRONG)
    colours = np.round((1 - strength) * PAPER + strength * deep).astype(np.uint8)

    numbered = count <= MOST_NUMBERS
    cell = CELL if numbered else max(min(SMALL_CELL, LARGEST // count), 1)
    names = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..." for name in classes]
    margin = 30 + 8 * max(map(len, names))
    side, head = max(count * cell, 320), 30
    figure = new_figure(margin + side + 10, head + margin + side + 10)
    width, height = figure.get_size_inches() * figure.dpi
    axes = figure.add_axes((margin / width, 10 / height, side / width, side / height))
    axes.imshow(colours, interpolation="nearest", aspect="auto")
    axes.set_xticks(range(count), [literal(name) for name in names], rotation=90)
    axes.set_yticks(range(count), [literal(name) for name in names])
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.tick_params(labelsize=9 if numbered else max(cell * 0.6, 1))
    figure.text(8 / width, 1 - 20 / height, "rows: true class, columns: predicted; % of the true class")
    if numbered:
        for row, column in zip(*np.nonzero(shares >= 0.0005), strict=True):
            share = float(shares[row, column])
            text = f"{100 * share:.0f}" if share >= 0.0995 else f"{100 * share:.1f}"
            ink = "white" if strength[row, column, 0] > 0.6 else "#202020"
            axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=9)
    return figure


def confusion_picture(confusion: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix as an image.

    Args:
        confusion: counts `(classes, classes)`, `[true, predicted]`.
        classes: class names.

    Returns:
        uint8 RGB image `(height, width, 3)`.

    Example:

    >>> kseg.evaluation.confusion_picture(np.array([[3, 1], [0, 4]]), ["background", "thing"]).shape[-1]
    3
    """
    return as_image(confusion_figure(confusion, classes))
