import tracemalloc

import numpy as np
import pytest

from kseg.data.annotations.drawn import DrawnImage, DrawnMasks, Shape
from kseg.errors import DataError

LARGE, SMALL = (0, 0, 8, 0, 8, 6, 0, 6), (2, 2, 4, 2, 4, 4, 2, 4)


def drawn(*shapes, relative=False, background=0):
    image = DrawnImage("a.png", "a", None, shapes, "a.json", relative)
    return DrawnMasks((image,), background).draw(image, 6, 8)


def test_small_shapes_lie_on_top_in_any_order():
    shapes = Shape(1, (LARGE,)), Shape(2, (SMALL,))
    np.testing.assert_array_equal(drawn(*shapes), drawn(*shapes[::-1]))
    assert drawn(*shapes)[2, 2] == 2
    assert (drawn(*shapes) == 2).sum() == 4


def test_a_shape_of_several_polygons_and_of_relative_points():
    both = drawn(Shape(1, ((0, 0, 2, 0, 2, 2, 0, 2), SMALL)))
    assert both.sum() == 8
    relative = tuple(value / side for value, side in zip(SMALL, (8, 6) * 4, strict=True))
    np.testing.assert_array_equal(drawn(Shape(1, (relative,)), relative=True), drawn(Shape(1, (SMALL,))))


def test_corners_far_away_and_without_a_place():
    far = 1e9
    assert (drawn(Shape(1, ((-far, -far, far, -far, far, far, -far, far),))) == 1).all()
    with pytest.raises(DataError, match="here: a corner"):
        drawn(Shape(1, ((0, 0, 1e300, 0, 5, 5),), where="here"))


def test_many_shapes_keep_only_their_own_pixels():
    image = DrawnImage("a.png", "a", None, tuple(Shape(1, (SMALL,)) for _ in range(300)), "a.json")
    tracemalloc.start()
    try:
        labels = DrawnMasks((image,)).draw(image, 500, 500)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000  # 300 whole masks are 75 MB
    finally:
        tracemalloc.stop()
    assert labels.sum() == 4


def test_background_and_outside():
    assert (drawn(background=255) == 255).all()
    with pytest.raises(DataError, match="here: a polygon that lies outside of the image of 6x8"):
        drawn(Shape(1, ((20, 20, 30, 20, 30, 30),), where="here"))
    assert drawn(Shape(1, ((1, 1, 1.2, 1, 1.2, 5),))).sum() == 0  # thinner than a pixel is no mistake
