"""Bars with intervals: read back from the figure, not from its pixels."""

import numpy as np
import pytest

from kseg.errors import DataError
from kseg.visualize.bars import ABOVE, BELOW, UNDECIDED, interval_figure, interval_image

DIFFERENCES = {"better": (2.0, 1.0, 3.0), "worse": (-1.0, -1.5, -0.5), "a $noise_": (0.5, -0.25, 1.25)}


def test_bars_are_the_differences_and_lines_their_intervals():
    axes = interval_figure(DIFFERENCES).axes[0]
    bars = axes.containers[0].patches
    assert [bar.get_width() for bar in bars] == [2.0, -1.0, 0.5]
    lines = axes.containers[1].lines[2][0].get_segments()
    assert [sorted(point[0] for point in line) for line in lines] == [[1.0, 3.0], [-1.5, -0.5], [-0.25, 1.25]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["better", "worse", r"a \$noise_"]


def test_colours_say_which_intervals_hold_zero():
    from matplotlib.colors import to_hex

    bars = interval_figure(DIFFERENCES).axes[0].containers[0].patches
    assert [to_hex(bar.get_facecolor()) for bar in bars] == [ABOVE, BELOW, UNDECIDED]


def test_what_others_found_stands_in_its_row():
    axes = interval_figure(DIFFERENCES, {"worse": 0.75, "of another table": 9.0}).axes[0]
    marks = next(line for line in axes.lines if line.get_marker() == "D")
    np.testing.assert_array_equal(marks.get_xydata(), [[0.75, 1]])


def test_the_legend_stands_outside_of_the_bars():
    """Its diamond would be one more value there."""
    figure = interval_figure(DIFFERENCES, {"worse": 0.75})
    figure.canvas.draw()
    assert not figure.legends[0].get_window_extent().overlaps(figure.axes[0].get_window_extent())


def test_picture_has_a_row_for_each_difference():
    small, large = interval_image({"one": (1, 0, 2)}), interval_image(DIFFERENCES)
    assert small.dtype == np.uint8
    assert small.shape[1:] == large.shape[1:] == (760, 3)
    assert large.shape[0] - small.shape[0] == 2 * 24


@pytest.mark.parametrize("wrong", [{}, {"one": (1.0, 2.0, 3.0)}, {"one": (1.0, 0.0, float("nan"))}])
def test_refusals(wrong):
    with pytest.raises(DataError):
        interval_figure(wrong)
