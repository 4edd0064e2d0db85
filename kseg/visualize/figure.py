"""Figures of matplotlib without its state: drawn by Agg, given as arrays. Imported only when a chart is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100
PAPER = "#fafafa"


def new_figure(width: int, height: int) -> Figure:
    """An empty figure of so many pixels, which no window shows and nothing keeps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def as_image(figure: Figure) -> np.ndarray:
    """A figure as uint8 RGB `(height, width, 3)`."""
    figure.canvas.draw()
    return np.ascontiguousarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])


def literal(name: str) -> str:
    """A name that matplotlib shows as it is: not as a formula between dollars, not left out for a first underscore."""
    name = name.replace("$", r"\$")
    return f"\u200b{name}" if name.startswith("_") else name
