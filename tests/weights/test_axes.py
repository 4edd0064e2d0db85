"""Axes against PyTorch's own layers, and Caffe's shapes."""

import keras
import numpy as np
import pytest

from kseg.weights.axes import kept, torch_moves
from kseg.weights.transfer import plan

RNG = np.random.default_rng(0)


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["convolution", "depthwise", "transposed", "normalisation"])
def test_a_layer_computes_what_pytorchs_does(kind):
    torch = pytest.importorskip("torch")
    theirs, ours = {
        "convolution": (torch.nn.Conv2d(4, 5, (3, 2)), keras.layers.Conv2D(5, (3, 2), name="x")),
        "depthwise": (torch.nn.Conv2d(4, 4, 3, groups=4), keras.layers.DepthwiseConv2D(3, name="x")),
        "transposed": (torch.nn.ConvTranspose2d(4, 5, 3, 2), keras.layers.Conv2DTranspose(5, 3, 2, name="x")),
        "normalisation": (torch.nn.BatchNorm2d(4), keras.layers.BatchNormalization(epsilon=1e-5, name="x")),
    }[kind]
    for name, value in theirs.eval().state_dict().items():
        if name != "num_batches_tracked":
            value.copy_(torch.from_numpy(RNG.uniform(0.5, 1.5, value.shape)))
    image = keras.Input((9, 11, 4))
    model = keras.Model(image, ours(image))
    state = {f"m.{key}": value.numpy() for key, value in theirs.state_dict().items()}
    settled = plan(model, state, torch_moves(model, {"x": "m"}), lambda key: key.endswith("tracked"), "f")
    settled.apply()
    x = RNG.normal(size=(2, 9, 11, 4)).astype("f4")
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(model(x, training=False), expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (1, 1, 1, 5), (1, 5), (1, 5, 1, 1)])
def test_axes_of_length_one(shape):
    values = np.arange(5.0).reshape(shape)
    np.testing.assert_array_equal(kept("x/bias", "w").make([values], (5,)), np.arange(5.0))


def test_other_shapes_stay_as_they_are():
    for shape in [(6,), (5, 2), (2, 5)]:
        assert kept("x/bias", "w").make([np.zeros(shape)], (5,)).shape == shape
