import numpy as np
import pytest

from kseg.errors import DataError, SettingsError
from kseg.inference.checks import as_pair, checked_image


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
        (np.zeros((4, 5)), "grey picture"),
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


def test_pairs():
    assert as_pair(None, "A size") is None
    assert as_pair(3, "A size") == (3, 3)
    assert as_pair([3, np.int64(4)], "A size") == (3, 4)
    for bad in (0, (3,), (3, 0), "ab", 1.5):
        with pytest.raises(SettingsError, match="A size is"):
            as_pair(bad, "A size")
