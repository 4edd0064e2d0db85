import keras
import numpy as np
import pytest

from kseg.layers import DepthToSpace


@pytest.mark.parametrize(("block", "channels"), [(2, 3), (3, 1), (4, 2)])
@pytest.mark.parametrize("fixed", [True, False])
def test_as_a_plain_loop(block, channels, fixed):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, block**2 * channels)).astype("float32")
    image = keras.Input(x.shape[1:] if fixed else (None, None, x.shape[-1]))
    model = keras.Model(image, DepthToSpace(block)(image))
    expected = np.zeros((2, 3 * block, 5 * block, channels), "float32")
    for row in range(3 * block):
        for column in range(5 * block):
            first = ((row % block) * block + column % block) * channels
            expected[:, row, column] = x[:, row // block, column // block, first : first + channels]
    assert model.output_shape == (None, *(expected.shape[1:3] if fixed else (None, None)), channels)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)


def test_undoes_pytorchs_pixel_unshuffle_up_to_the_order_of_channels():
    torch = pytest.importorskip("torch")
    image = np.random.default_rng(1).normal(size=(1, 8, 12, 3)).astype("float32")
    cells = torch.nn.functional.pixel_unshuffle(torch.from_numpy(image).permute(0, 3, 1, 2), 4)
    # PyTorch puts all pixels of a channel side by side, TensorFlow all channels of a pixel.
    cells = cells.permute(0, 2, 3, 1).reshape(1, 2, 3, 3, 16).transpose(3, 4).reshape(1, 2, 3, 48)
    np.testing.assert_array_equal(np.asarray(DepthToSpace(4)(cells.numpy())), image)


def test_config_and_mistakes():
    layer = DepthToSpace.from_config(DepthToSpace(3, name="up", dtype="float16").get_config())
    assert (layer.block, layer.name, layer.compute_dtype) == (3, "up", "float16")
    with pytest.raises(ValueError, match="at least 2"):
        DepthToSpace(1)
    with pytest.raises(ValueError, match="not a multiple of 4"):
        DepthToSpace(2)(keras.Input((4, 4, 6)))
