"""The first names of `kseg.visualize` go on working."""

import kseg
from kseg.inference import draw
from kseg.visualize import grid, legend, overlay, palette


def test_the_old_names_are_the_new_functions():
    assert kseg.inference.draw is draw
    assert draw.grid is grid.grid
    assert (draw.legend, draw.with_legend) == (legend.legend, legend.with_legend)
    assert (draw.colourise, draw.overlay, draw.class_shares) == (
        overlay.colourise,
        overlay.overlay,
        overlay.class_shares,
    )
    assert (draw.default_palette, draw.write_palette_png) == (
        palette.default_palette,
        palette.write_palette_png,
    )
