"""The names under which `kseg.visualize` was known first."""

from kseg.visualize.grid import grid
from kseg.visualize.legend import legend, with_legend
from kseg.visualize.overlay import class_shares, colourise, overlay
from kseg.visualize.palette import default_palette, write_palette_png

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
