"""`Conv2D`: Keras's layer, argument by argument."""

import keras
import numpy as np
import pytest

import kseg

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    "settings",
    [
        {"filters": 4, "kernel_size": 1, "activation": "relu", "bias_initializer": "ones"},
        {"filters": 4, "kernel_size": 1, "padding": "same", "use_bias": False},
        {"filters": 6, "kernel_size": 1, "groups": 3},
        {"filters": 4, "kernel_size": 1, "strides": 2, "padding": "same"},
        {"filters": 4, "kernel_size": (3, 5), "dilation_rate": (2, 1), "padding": "same"},
    ],
)
def test_values_weights_and_config_are_keras_s(settings):
    x = RANDOM.normal(size=(2, 11, 12, 3)).astype("float32")
    layer, plain = kseg.layers.Conv2D(**settings), keras.layers.Conv2D(**settings)
    found, _ = layer(x), plain(x)
    plain.set_weights(layer.get_weights())
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(found), keras.ops.convert_to_numpy(plain(x)), rtol=1e-6, atol=1e-6
    )
    assert layer.get_config() == {**plain.get_config(), "name": layer.name}
    assert layer.compute_output_shape(x.shape) == found.shape


@pytest.mark.tensorflow
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_keras_s_fit_trains_it_as_its_own(dtype):
    images, found = RANDOM.normal(size=(4, 12, 11, 3)).astype("float32"), []
    for kind in (kseg.layers.Conv2D, keras.layers.Conv2D):
        keras.utils.set_random_seed(1)
        layers = [kind(5, 1, activation="relu", dtype=dtype), kind(3, 1, padding="same", dtype=dtype)]
        model = keras.Sequential([*layers, keras.layers.GlobalAveragePooling2D()])
        model.compile("sgd", "mse", jit_compile=False)
        model.fit(images, np.ones((4, 3)), epochs=2, verbose=0)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
