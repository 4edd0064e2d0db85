
import tracemalloc

import numpy as np
import pytest

from kseg.data.annotations.polygons import fill_polygon, fill_runs, runs_of

RNG = np.random.default_rng(0)


def test_a_rectangle_covers_its_pixels():
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:7] = True
    np.testing.assert_array_equal(fill_polygon([2, 1, 7, 1, 7, 4, 2, 4], 6, 8), expected)
    np.testing.assert_array_equal(fill_polygon([[2, 4], [7, 4], [7, 1], [2, 1]], 6, 8), expected)
    np.testing.assert_array_equal(fill_polygon([-5, -5, 20, -5, 20, 20, -5, 20], 6, 8), np.ones((6, 8)))


def test_large_convex_polygons_cover_the_pixels_whose_centres_lie_within():
    """But for those within half a pixel of an edge."""
    angles = np.sort(RNG.random(9)) * 2 * np.pi
    corners = np.stack([50 + 40 * np.cos(angles), 60 + 45 * np.sin(angles)], axis=-1)
    found = fill_polygon(corners, 120, 100)
    y, x = np.mgrid[:120, :100] + 0.5
    following = np.roll(corners, -1, axis=0)
    cross = [
        (b[0] - a[0]) * (y - a[1]) - (b[1] - a[1]) * (x - a[0])
        for a, b in zip(corners, following, strict=True)
    ]
    lengths = np.linalg.norm(following - corners, axis=1)
    distance = np.min([c / n for c, n in zip(cross, lengths, strict=True)], axis=0)
    assert found[distance > 0.75].all()
    assert not found[distance < -0.75].any()


@pytest.mark.parametrize("far", [100.0, 1e9, 9e11])
def test_corners_far_outside_take_no_more_memory(far):
    """Half planes through the middle of the image, whose other corners are anywhere."""
    y, x = np.mgrid[:48, :64] + 0.5
    tracemalloc.start()
    try:
        below = fill_polygon([-far, 24 - far, far, 24 + far, -far, far], 48, 64)
        everything = fill_polygon([-far, -far, far, -far, far, far, -far, far], 48, 64)
        steep = fill_polygon([20, -far, 20, far, far, far, far, -far], 48, 64)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert everything.all()
    np.testing.assert_array_equal(steep, x > 20)
    distance = (y - x - 24) / np.sqrt(2)
    assert below[distance > 0.75].all()
    assert not below[distance < -0.75].any()


def test_a_corner_without_a_place_is_refused():
    with pytest.raises(ValueError, match=r"a corner 1e\+13 pixels away"):
        fill_polygon([0, 0, 1e13, 0, 3, 3], 5, 5)


@pytest.mark.parametrize("points", [[], [1, 1], [1, 1, 3, 3], [2, 2, 2, 2, 2, 2]])
def test_what_has_no_area_covers_nothing(points):
    assert not fill_polygon(points, 5, 5).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (9, 13)])
def test_runs_there_and_back(shape):
    for mask in (RNG.random(shape) < 0.5, np.zeros(shape, bool), np.ones(shape, bool)):
        runs = runs_of(mask)
        assert sum(runs) == mask.size
        np.testing.assert_array_equal(fill_runs(runs, *shape), mask)


def test_runs_go_down_the_columns_from_zero():
    mask = np.array([[0, 1], [0, 1], [1, 0]], bool)
    assert runs_of(mask) == [2, 3, 1]
    assert runs_of(~mask) == [0, 2, 3, 1]


@pytest.mark.parametrize("counts", [[3, 2], [3, 3, 1], [-1, 7], [10**30, 1], "x", "~~", "", "o" * 10**6])
def test_runs_that_do_not_fit(counts):
    with pytest.raises(ValueError, match="run lengths"):
        fill_runs(counts, 2, 3)


@pytest.mark.parity
def test_equal_to_cocos_own_tool():
    """Polygons of all kinds, also outside of the image; compressed run lengths too."""
    coco = pytest.importorskip("pycocotools.mask")
    different = total = 0
    for number in range(500):
        height, width = (int(side) for side in RNG.integers(1, 90, 2))
        reach = (1.6, 1.6, 40, 2_000)[number % 4]
        points = ((RNG.random((int(RNG.integers(3, 12)), 2)) - 0.5) * reach + 0.5) * [width, height]
        points = np.round(points) if number % 3 == 0 else points
        points = np.concatenate([points, points[-1:]]) if number % 7 == 0 else points
        expected = coco.decode(coco.frPyObjects([points.ravel().tolist()], height, width))[..., 0].astype(
            bool
        )
        different += (expected != fill_polygon(points, height, width)).sum()
        total += expected.size
        counts = coco.encode(np.asfortranarray(expected.astype(np.uint8)))["counts"]
        np.testing.assert_array_equal(fill_runs(counts, height, width), expected)
        np.testing.assert_array_equal(fill_runs(counts.decode(), height, width), expected)
    assert different <= 0.001 * total
