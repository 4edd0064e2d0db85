import numpy as np
import pytest

from kseg.errors import DataError
from kseg.inference.checks import checked_image


def test_pictures_pass_as_bytes_or_float32():
    picture = np.full((4, 5, 3), 7, np.uint8)
    assert checked_image(picture) is picture
    for dtype in ("float16", "float32", "float64"):
        found = checked_image(picture.astype(dtype))
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, picture)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((4, 5)), "grey image"),
        (np.zeros((4, 5, 4)), "alpha"),
        (np.zeros((0, 5, 3)), "shape"),
        (np.zeros((4, 5, 3), int), "int64"),
        (np.full((4, 5, 3), np.nan), "nan"),
        (np.full((4, 5, 3), 300.0), "0-255"),
    ],
)
def test_everything_else_is_refused(bad, message):
    with pytest.raises(DataError, match=message):
        checked_image(bad)


def photo():
    return np.random.default_rng(0).integers(0, 256, (6, 7, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (photo() / 255, "multiply"),
        ((photo() / 255).astype(np.float16), "multiply"),
        (np.ones((4, 5, 3)), "multiply"),  # white in 0..1
        (np.eye(5)[..., None].repeat(3, -1), "multiply"),  # a mask of zeros and ones
        (photo() / 255 * 1.08, "multiply"),  # resized with overshoot
        (photo() / 255 * 1.08 - 0.04, "multiply"),
        (photo() / 127.5 - 1, "127.5"),
        (photo() / 60 - 2, "0-255"),  # normalised by mean and standard deviation
        (photo() * 257, "257"),
        ((photo() * 257).astype(np.uint16), "257"),
        (photo().astype(np.int32), "astype"),
        (photo() - 20, "0-255"),
        (np.where(photo() > 9, photo(), np.nan), "NaN"),
        (photo().transpose(2, 0, 1), "transpose"),
        (photo()[None], "batch"),
        (photo()[..., :1], "repeat"),
        (photo()[..., [0, 1, 2, 0]], "alpha"),
        (photo()[..., :2], "shape"),
    ],
)
def test_ranges_and_layouts_of_others_are_said(bad, message):
    """None of these may be predicted: most would be black to the model."""
    with pytest.raises(DataError, match=message):
        checked_image(bad)


def test_dark_images_pass():
    for dark in (
        np.zeros((4, 5, 3)),  # black is black in every range
        np.ones((4, 5, 3), np.uint8),
        np.eye(5)[..., None].repeat(3, -1) * 2,  # whole numbers
        photo() / 100,
        photo() - photo().min() - 0.4,  # a little below zero, as resizing leaves it
    ):
        assert checked_image(dark).shape == dark.shape
