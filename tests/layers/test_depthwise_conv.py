"""`DepthwiseConv2D`: Keras's layer, argument by argument."""

import keras
import numpy as np
import pytest

import kseg

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 5, "strides": 2, "padding": "same", "activation": "relu"},
        {"kernel_size": 3, "dilation_rate": 2, "depth_multiplier": 2, "use_bias": False},
        {"kernel_size": (3, 5), "dilation_rate": (2, 1), "padding": "same", "bias_initializer": "ones"},
    ],
)
def test_values_weights_and_config_are_keras_s(settings):
    x = RANDOM.normal(size=(2, 11, 12, 3)).astype("float32")
    layer, plain = kseg.layers.DepthwiseConv2D(**settings), keras.layers.DepthwiseConv2D(**settings)
    found, _ = layer(x), plain(x)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(found), keras.ops.convert_to_numpy(plain(x)), rtol=1e-6, atol=1e-6
    )
    config = {**plain.get_config(), "name": layer.name}
    assert layer.get_config() == config
    assert layer.compute_output_shape(x.shape) == found.shape


@pytest.mark.tensorflow
@pytest.mark.full
def test_keras_s_fit_trains_it_as_its_own():
    images, found = RANDOM.normal(size=(4, 12, 11, 3)).astype("float32"), []
    for kind in (kseg.layers.DepthwiseConv2D, keras.layers.DepthwiseConv2D):
        keras.utils.set_random_seed(1)
        layer = kind(3, padding="same", activation="relu", dilation_rate=3)
        model = keras.Sequential([layer, keras.layers.GlobalAveragePooling2D()])
        model.compile("sgd", "mse", jit_compile=False)
        model.fit(images, np.ones((4, 3)), epochs=2, verbose=0)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
