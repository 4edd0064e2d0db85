"""Curves over the width of a band around true edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kseg.errors import DataError
from kseg.visualize.figure import as_image, literal, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 640, 420
COLOURS = ("#195aaa", "#c83c23", "#28823c", "#8c46a0", "#be8214", "#5a5a5a")


def trimap_figure(curves: Mapping[str, Sequence[float]]) -> Figure:
    """Curves of mean IoU in a band around the true edges, one line each.

    Args:
        curves: name for the legend -> mean IoU in the bands of 1, 2, ... pixels, as `TrimapIoU.curve` gives it; NaN
            leaves a gap.

    Returns:
        A matplotlib figure, to be changed further or saved: `trimap_figure(curves).savefig("trimap.pdf")`.

    Raises:
        DataError: no curve, or none with a number in it.

    Example:

    >>> from kseg.visualize.curves import trimap_figure
    >>> trimap_figure({"without CRF": [0.5, 0.6], "with CRF": [0.6, 0.7]}).savefig("trimap.pdf")
    """
    drawn = {name: np.asarray(curve, np.float64) for name, curve in curves.items()}
    if not any(np.isfinite(curve).any() for curve in drawn.values()):
        raise DataError("a trimap curve needs mean IoUs to draw, there are none")
    figure = new_figure(WIDTH, HEIGHT)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    for number, (name, curve) in enumerate(drawn.items()):
        widths, colour = np.arange(1, len(curve) + 1), COLOURS[number % len(COLOURS)]
        axes.plot(widths, curve, color=colour, marker=".", label=literal(name))
    axes.set_xlim(1, max(2, *(len(curve) for curve in drawn.values())))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("pixels")
    axes.set_ylabel("mean IoU")
    axes.set_title("mean IoU within this many pixels of a true edge")
    axes.grid(visible=True, color="#dedede")
    axes.legend(loc="lower right", frameon=False)
    return figure


def trimap_picture(curves: Mapping[str, Sequence[float]]) -> np.ndarray:
    """Draw curves of mean IoU over the width of a band around true edges as an image.

    Args:
        curves: from name to the mean IoU at widths of 1, 2, ... pixels.

    Returns:
        uint8 RGB image `(height, width, 3)`.

    Example:

    >>> kseg.evaluation.trimap_picture({"without CRF": [0.5, 0.6], "with CRF": [0.6, 0.7]}).shape[-1]
    3
    """
    return as_image(trimap_figure(curves))
