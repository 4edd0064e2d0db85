import keras
import numpy as np
import pytest

from kseg.layers import PadToMultiple


@pytest.mark.parametrize(("size", "filled"), [((7, 12), (8, 12)), ((8, 4), (8, 4)), ((1, 9), (4, 12))])
@pytest.mark.parametrize("fixed", [True, False])
def test_zeros_at_the_bottom_and_the_right(size, filled, fixed):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    image = keras.Input((*size, 3) if fixed else (None, None, 3))
    model = keras.Model(image, PadToMultiple(4)(image))
    assert model.output_shape[1:3] == (filled if fixed else (None, None))
    expected = np.zeros((2, *filled, 3), "float32")
    expected[:, : size[0], : size[1]] = x
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


@pytest.mark.parametrize(("size", "filled"), [((7, 13), (12, 16)), ((1, 12), (12, 12)), ((17, 3), (20, 12))])
@pytest.mark.parametrize("fixed", [True, False])
def test_a_least_size(size, filled, fixed):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    image = keras.Input((*size, 3) if fixed else (None, None, 3))
    model = keras.Model(image, PadToMultiple(4, least=12)(image))
    expected = np.zeros((2, *filled, 3), "float32")
    expected[:, : size[0], : size[1]] = x
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


def test_config_and_mistakes():
    layer = PadToMultiple.from_config(PadToMultiple(6, name="p").get_config())
    assert (layer.factor, layer.name) == (6, "p")
    assert layer.compute_output_shape((None, 13, None, 3)) == (None, 18, None, 3)
    with pytest.raises(ValueError, match="from 1 on"):
        PadToMultiple(0)
    with pytest.raises(ValueError, match="`least` is a multiple of `factor`, 4; got 6"):
        PadToMultiple(4, least=6)
