"""Figures of matplotlib without its state: drawn by Agg, given as arrays. Imported only when a chart is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100
PAPER = "#fafafa"


def new_figure(width: int, height: int) -> Figure:
    """An empty figure of a size in pixels, which no window shows and nothing keeps.

    Args:
        width, height: in pixels.

    Returns:
        A matplotlib figure, drawn by Agg.

    Example:

    >>> from kseg.visualize.figure import as_image, new_figure
    >>> as_image(new_figure(320, 200)).shape
    (200, 320, 3)
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def as_image(figure: Figure) -> np.ndarray:
    """A figure as an image.

    Args:
        figure: as `new_figure` makes it.

    Returns:
        uint8 RGB `(height, width, 3)`.

    Example:

    >>> from kseg.visualize.figure import as_image, new_figure
    >>> as_image(new_figure(320, 200))[0, 0]
    array([250, 250, 250], dtype=uint8)
    """
    figure.canvas.draw()
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def literal(name: str) -> str:
    """A name that matplotlib shows as it is.

    Matplotlib takes what stands between dollar signs for a formula, and leaves names that begin with an underscore out
    of legends.

    Args:
        name: of a class or a run.

    Returns:
        The name, its dollar signs escaped, with an invisible character before a first underscore.

    Example:

    >>> from kseg.visualize.figure import literal
    >>> print(literal("costs $5"))
    costs \\$5
    """
    name = name.replace("$", r"\$")
    return f"\u200b{name}" if name.startswith("_") else name
