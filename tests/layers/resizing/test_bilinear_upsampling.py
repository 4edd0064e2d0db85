import keras
import numpy as np
import pytest

from kseg.layers.resizing.bilinear_upsampling import BilinearUpsampling, bilinear_kernel


def transposed(x, kernel, factor):
    """A transposed convolution of each channel by itself, as a plain loop."""
    batch, height, width, channels = x.shape
    k = len(kernel)
    out = np.zeros((batch, (height - 1) * factor + k, (width - 1) * factor + k, channels))
    for i in range(height):
        for j in range(width):
            out[:, i * factor : i * factor + k, j * factor : j * factor + k] += (
                x[:, i : i + 1, j : j + 1] * kernel[:, :, None]
            )
    return out


def expected(x, factor, padding):
    full = transposed(x, bilinear_kernel(factor), factor)
    if padding == "valid":
        return full
    extra = (len(bilinear_kernel(factor)) - factor) // 2
    height, width = x.shape[1] * factor, x.shape[2] * factor
    return full[:, extra : extra + height, extra : extra + width]


def test_kernel_as_released():
    np.testing.assert_allclose(bilinear_kernel(2)[0] * 16, [1, 3, 3, 1])  # upsample_filt(4)
    np.testing.assert_allclose(bilinear_kernel(3)[0] * 9, [1, 2, 3, 2, 1])  # upsample_filt(5)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("factor", [1, 2, 3, 8])
@pytest.mark.parametrize("learned", [False, True])
def test_is_the_transposed_convolution(factor, padding, learned):
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 4)).astype("float32")
    layer = BilinearUpsampling(factor, learned, padding)
    y = np.asarray(layer(x))
    assert y.shape == layer.compute_output_shape(x.shape)
    np.testing.assert_allclose(y, expected(x, factor, padding), atol=1e-5)


def test_weights_only_where_learned():
    # 21 classes, factors 2, 2 and 8: 127,008 dense weights in FCN-8s (released net)
    layers = [BilinearUpsampling(factor, learned=True) for factor in (2, 2, 8)]
    for layer in layers:
        layer.build((None, None, None, 21))
    assert sum(layer.count_params() for layer in layers) == 127_008
    fixed = BilinearUpsampling(8)
    fixed.build((None, None, None, 21))
    assert fixed.count_params() == 0


def test_unknown_sizes():
    inputs = keras.Input((None, None, 2))
    model = keras.Model(inputs, BilinearUpsampling(4)(inputs))
    assert model.output_shape == (None, None, None, 2)
    assert model.predict(np.ones((1, 3, 5, 2)), verbose=0).shape == (1, 12, 20, 2)


def test_config_round_trip():
    layer = BilinearUpsampling(3, learned=True, padding="valid", name="upsampling_x")
    twin = BilinearUpsampling.from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    assert (twin.factor, twin.learned, twin.padding) == (3, True, "valid")


@pytest.mark.parametrize("arguments", [{"factor": 0}, {"factor": 2, "padding": "full"}])
def test_nonsense_is_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        BilinearUpsampling(**arguments)


@pytest.mark.parity
@pytest.mark.parametrize("factor", [2, 8])
def test_is_pytorchs(factor):
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).normal(size=(1, 4, 6, 3)).astype("float32")
    kernel = torch.from_numpy(bilinear_kernel(factor))[None, None].repeat(3, 1, 1, 1)
    reference = torch.nn.functional.conv_transpose2d(
        torch.from_numpy(x.transpose(0, 3, 1, 2)), kernel, stride=factor, padding=factor // 2, groups=3
    )
    np.testing.assert_allclose(
        np.asarray(BilinearUpsampling(factor)(x)), reference.numpy().transpose(0, 2, 3, 1), atol=1e-5
    )
