"""Bars of differences with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from kseg.errors import DataError
from kseg.visualize.figure import as_image, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, ROW, HEAD = 760, 24, 80
ABOVE, BELOW, UNDECIDED, INK = "#195aaa", "#c83c23", "#b0b0b0", "#202020"


def interval_figure(
    differences: Mapping[str, tuple[float, float, float]],
    expected: Mapping[str, float] | None = None,
    label: str = "points of mean IoU",
) -> Figure:
    """A horizontal bar for each difference, with its interval.

    Blue is above zero, red below, and grey where the interval holds zero.

    Args:
        differences: name -> (difference, lower end, upper end).
        expected: name -> the difference that others found, drawn as a diamond.
        label: of the axis.

    Returns:
        A matplotlib figure, to be changed further or saved.

    Raises:
        DataError: no difference, or a difference outside of its own interval.

    Example:

    >>> figure = interval_figure({"8s above 16s": (1.5, 0.5, 2.5)}, {"8s above 16s": 0.3})
    >>> len(figure.axes)
    1
    """
    if not differences:
        raise DataError("bars need a difference to draw, there are none")
    values = np.array([tuple(map(float, triple)) for triple in differences.values()])
    inside = (values[:, 1] <= values[:, 0]) & (values[:, 0] <= values[:, 2])
    if not (np.isfinite(values).all() and inside.all()):
        raise DataError("each difference needs a finite interval (difference, lower end, upper end) that holds it")
    figure = new_figure(WIDTH, HEAD + ROW * len(values))
    figure.set_layout_engine("constrained")
    axes, rows = figure.add_subplot(), np.arange(len(values))
    mean, low, high = values.T
    colours = [ABOVE if a > 0 else BELOW if b < 0 else UNDECIDED for a, b in zip(low, high, strict=True)]
    axes.barh(rows, mean, color=colours, height=0.6)
    axes.errorbar(mean, rows, xerr=(mean - low, high - mean), fmt="none", ecolor=INK, capsize=3, linewidth=1.2)
    theirs = [(expected[name], row) for row, name in enumerate(differences) if name in (expected or {})]
    if theirs:
        axes.plot(*zip(*theirs, strict=True), "D", color=INK, markerfacecolor="none", label="the paper's")
        figure.legend(loc="outside upper right", frameon=False)  # among the bars its mark would be one more value
    axes.axvline(0, color=INK, linewidth=1)
    axes.set_yticks(rows, [literal(name) for name in differences])
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.grid(visible=True, axis="x", color="#dedede")
    axes.set_axisbelow(True)
    return figure


def interval_image(
    differences: Mapping[str, tuple[float, float, float]],
    expected: Mapping[str, float] | None = None,
    label: str = "points of mean IoU",
) -> np.ndarray:
    """`interval_figure` as an image.

    Args:
        differences: name -> (difference, lower end, upper end).
        expected: name -> the difference that others found, drawn as a diamond.
        label: of the axis.

    Returns:
        The image, uint8 RGB `(height, width, 3)`.

    Raises:
        DataError: no difference, or a difference outside of its own interval.

    Example:

    >>> interval_image({"8s above 16s": (1.5, 0.5, 2.5)}).shape[-1]
    3
    """
    return as_image(interval_figure(differences, expected, label))
