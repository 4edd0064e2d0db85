"""The trimap curve's picture: its lines stand where the numbers say."""

import numpy as np
import pytest

from kseg.errors import DataError
from kseg.evaluation import trimap_picture
from kseg.evaluation.curve import COLOURS, Axes


def rows_of(picture, number):
    """Row of the line of this colour in each column it is in, by the mean."""
    close = np.abs(picture.astype(int) - COLOURS[number]).sum(-1) < 60
    close[:, 500:] = False  # without the legend
    columns = np.flatnonzero(close.any(0))
    return columns, np.array([np.flatnonzero(close[:, c]).mean() for c in columns])


def test_a_line_rises_as_its_numbers_do():
    rising = np.linspace(0.2, 0.7, 40)
    picture = trimap_picture({"a": rising})
    assert picture.dtype == np.uint8
    columns, rows = rows_of(picture, 0)
    slope, offset = np.polyfit(columns, rows, 1)
    assert slope < -0.3
    assert np.abs(rows - (slope * columns + offset)).max() < 2


def test_two_curves_keep_their_distance():
    lower = np.linspace(0.3, 0.5, 40)
    axes = Axes(40, 0.3, 0.6)
    gaps = np.subtract(axes.points(lower), axes.points(lower + 0.1))
    # From 0.3 to 0.6 the axis has 0.3 in 328 pixels.
    np.testing.assert_allclose(gaps, [[0, 0.1 / 0.3 * 328]] * 40, atol=1e-6)
    # How thick a line is drawn is the library's affair; which one is the higher is ours.
    picture = trimap_picture({"without CRF": lower, "CRF": lower + 0.1})
    assert rows_of(picture, 1)[1].mean() < rows_of(picture, 0)[1].mean() - 50


def test_gaps_and_single_numbers():
    curve = np.full(10, np.nan)
    curve[[2, 3, 7]] = 0.4, 0.5, 0.45
    columns, _ = rows_of(trimap_picture({"a": curve}), 0)
    assert (np.diff(columns) > 100).sum() == 1  # a line, a gap, a dot
    assert trimap_picture({"a": [0.5]}).shape == trimap_picture({"a": curve}).shape


def test_nothing_to_draw():
    for curves in ({}, {"a": []}, {"a": [float("nan")] * 3}):
        with pytest.raises(DataError, match="none"):
            trimap_picture(curves)
