"""Outlines against plain filling: every pixel whose centre lies inside, and no other."""

import numpy as np
import pytest

from kseg.inference.results.polygons import outlines, regions, signed_area


def filled(rings, size):
    """Pixels whose centre lies inside an odd number of rings (crossing number, a plain loop)."""
    inside = np.zeros(size, bool)
    for y in range(size[0]):
        for x in range(size[1]):
            count = 0
            for ring in rings:
                for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, 0), strict=True):
                    if (y0 > y + 0.5) != (y1 > y + 0.5):
                        count += (y + 0.5 - y0) / (y1 - y0) * (x1 - x0) + x0 > x + 0.5
            inside[y, x] = count % 2
    return inside


@pytest.mark.parametrize("seed", range(6))
def test_outlines_hold_the_mask_and_nothing_else(seed):
    mask = np.random.default_rng(seed).random((9, 13)) < (0.3, 0.5, 0.8)[seed % 3]
    rings = outlines(mask)
    np.testing.assert_array_equal(filled(rings, mask.shape), mask)
    np.testing.assert_allclose(sum(map(signed_area, rings)), mask.sum())


def test_a_square_has_four_corners():
    mask = np.zeros((6, 7), bool)
    mask[1:4, 2:6] = True
    (ring,) = outlines(mask)
    assert sorted(map(tuple, ring.tolist())) == [(2, 1), (2, 4), (6, 1), (6, 4)]
    assert signed_area(ring) == 12


def test_a_hole_runs_the_other_way():
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    (region,) = regions(mask.astype(np.uint8), [1])
    outer, hole = region.rings()
    assert (signed_area(outer), signed_area(hole)) == (25, -1)


def test_pixels_that_touch_at_a_corner_are_two_regions():
    found = regions(np.eye(3, dtype=np.uint8), [1])
    assert [one.box for one in found] == [(0, 0, 1, 1), (1, 1, 1, 1), (2, 2, 1, 1)]
    assert [one.area for one in found] == [1, 1, 1]


def test_a_ring_that_meets_itself_is_an_outline_and_a_hole():
    """Two pixels of one region that touch at a corner, around a background pixel."""
    mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 0]], bool)
    (region,) = regions(mask.astype(np.uint8), [1])
    rings = region.rings()
    assert [signed_area(ring) > 0 for ring in rings] == [True, False]
    np.testing.assert_array_equal(filled(rings, mask.shape), mask)


def test_places_classes_and_least():
    labels = np.zeros((10, 12), np.uint8)
    labels[2:5, 3:9], labels[7, 1], labels[8:, 10:] = 2, 2, 1
    found = regions(labels, [2, 1], least=2)
    assert [(one.class_id, one.box, one.area) for one in found] == [
        (2, (3, 2, 6, 3), 18),
        (1, (10, 8, 2, 2), 4),
    ]
    np.testing.assert_array_equal(found[0].rings()[0].min(0), [3, 2])


def test_simplified_outlines_stay_near():
    yy, xx = np.mgrid[:60, :60]
    disc = (yy - 30) ** 2 + (xx - 30) ** 2 < 25**2
    (region,) = regions(disc.astype(np.uint8), [1])
    exact, simple = region.rings()[0], region.rings(1.5)[0]
    assert len(simple) < len(exact) / 3
    assert abs(signed_area(simple) / disc.sum() - 1) < 0.05


@pytest.mark.parametrize("tolerance", [0.5, 3.0, 100.0, 1e9])
def test_simplified_regions_keep_an_outline(tolerance):
    labels = np.random.default_rng(0).integers(0, 2, (12, 15)).astype(np.uint8)
    labels[:, 13] = 1  # a line of one pixel
    for region in regions(labels, [0, 1]):
        outline, *holes = region.rings(tolerance)
        assert len(outline) >= 3
        assert signed_area(outline) > 0
        assert all(signed_area(hole) < 0 for hole in holes)
