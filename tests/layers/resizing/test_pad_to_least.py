import keras
import numpy as np
import pytest

from kseg.layers import PadToLeast


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("size", "expected"), [((2, 9), (7, 9)), ((7, 7), (7, 7)), ((8, 3), (8, 7)), ((1, 1), (7, 7))]
)
def test_small_sides_are_filled_with_zeros(size, expected, known):
    image = keras.Input((*(size if known else (None, None)), 2))
    model = keras.Model(image, PadToLeast(7)(image))
    x = np.random.default_rng(0).normal(size=(2, *size, 2)).astype("float32")
    filled = np.zeros((2, *expected, 2), "float32")
    filled[:, : size[0], : size[1]] = x
    np.testing.assert_array_equal(np.asarray(model(x)), filled)
    assert model.output_shape == (None, *(expected if known else (None, None)), 2)
    np.testing.assert_array_equal(model.predict_on_batch(x), filled)


def test_config_round_trip():
    layer = PadToLeast(5, name="pad")
    assert PadToLeast.from_config(layer.get_config()).size == 5


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="from 1 on"):
        PadToLeast(0)


@pytest.mark.parametrize("size", [(2, 9), (8, 3), (1, 1), (9, 8)])
def test_whole_shapes_and_the_corner(size):
    """Batch and channels stay as they are; what was there stays at the top and the left."""
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    y = np.asarray(PadToLeast(7)(x))
    expected = np.zeros((2, max(size[0], 7), max(size[1], 7), 3), "float32")
    expected[:, : size[0], : size[1]] = x
    np.testing.assert_array_equal(y, expected)
