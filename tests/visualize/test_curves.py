"""The figure's lines hold the curve's numbers; how matplotlib draws them is its own affair."""

import numpy as np
import pytest

from kseg.errors import DataError
from kseg.evaluation import trimap_picture
from kseg.visualize.curves import trimap_figure

pytest.importorskip("matplotlib")


def test_lines_hold_the_numbers():
    lower = np.linspace(0.3, 0.5, 40)
    curves = {"without CRF": lower, "CRF": lower + 0.1, "short": [0.4, 0.6]}
    (axes,) = trimap_figure(curves).axes
    assert [line.get_label() for line in axes.lines] == list(curves)
    for line, curve in zip(axes.lines, curves.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(curve) + 1))
        np.testing.assert_array_equal(line.get_ydata(), curve)
    assert len({line.get_color() for line in axes.lines}) == 3
    assert axes.get_xlim() == (1, 40)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(curves)


def test_gaps_stay_gaps():
    curve = np.full(10, np.nan)
    curve[[2, 3, 7]] = 0.4, 0.5, 0.45
    (axes,) = trimap_figure({"a": curve}).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), curve)
    assert axes.lines[0].get_marker() not in ("", "None", None)  # a number between two gaps is seen


@pytest.mark.parametrize("name", ["_hidden", "runs/$x$", "Straße", "a" * 200])
def test_names_of_every_kind_are_in_the_legend(name):
    figure = trimap_figure({name: [0.5, 0.6], "other": [0.1, 0.2]})
    shown = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(shown) == 2
    assert shown[0].replace("\\$", "$").lstrip("\u200b") == name


def test_the_image():
    image = trimap_picture({"a": [0.5]})
    assert (image.dtype, image.ndim, image.shape[-1]) == (np.uint8, 3, 3)
    assert image.shape == trimap_picture({"a": [0.5, np.nan]}).shape


def test_nothing_to_draw():
    for curves in ({}, {"a": []}, {"a": [float("nan")] * 3}):
        with pytest.raises(DataError, match="none"):
            trimap_figure(curves)
