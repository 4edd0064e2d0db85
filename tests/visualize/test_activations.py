import numpy as np

from kseg.visualize.activations import Activation, drawn_activations
from kseg.visualize.grid import BAR, GAP


def test_maps_run_from_black_to_white_below_their_image():
    image = np.full((40, 40, 3), 90, np.uint8)
    ramp = np.linspace(-3, 5, 240 * 240, dtype=np.float32).reshape(240, 240)
    one = Activation("conv", 2, 8, ramp)
    assert str(one) == "conv 240x240, 3 of 8"
    found = drawn_activations(image, [one], columns=1)
    second = found[2 * BAR + 240 + GAP :][:240, GAP : GAP + 240].astype(int)
    np.testing.assert_array_equal(second[0, 0], 0)
    assert second[-1, -1].min() > 240
    assert (np.diff(second.sum(-1)[:, 0]) >= 0).all()  # brighter with the value


def test_a_constant_map_is_black():
    found = drawn_activations(np.zeros((8, 8, 3), np.uint8), [Activation("x", 0, 1, np.ones((4, 4)))], 2)
    assert found[BAR : BAR + 240, 2 * GAP + 240 : 2 * GAP + 480].max() == 0
