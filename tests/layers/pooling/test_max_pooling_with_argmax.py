import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import SettingsError
from kseg.layers import MaxPoolingWithArgmax2D
from kseg.ops.pooling import INDEX_DTYPE


def _x(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_values_and_indices_in_a_model_of_any_size():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, MaxPoolingWithArgmax2D()(image))
    assert [tuple(t.shape) for t in model.outputs] == [(None, None, None, 3)] * 2
    assert [t.dtype for t in model.outputs] == ["float32", INDEX_DTYPE]
    for size in ((6, 8), (7, 5)):
        x = _x(2, *size, 3)
        for got, want in zip(
            model.predict(x, verbose=0), tf.nn.max_pool_with_argmax(x, 2, 2, "SAME"), strict=True
        ):
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_shapes_are_known_before_the_call(padding):
    layer = MaxPoolingWithArgmax2D((3, 2), (2, 1), padding)
    values, indices = layer(_x(2, 9, 8, 3))
    assert layer.compute_output_shape((2, 9, 8, 3)) == (values.shape, indices.shape)
    assert layer.compute_output_shape((None, None, 8, 3))[0] == (None, None, values.shape[2], 3)


def test_config_round_trip():
    layer = MaxPoolingWithArgmax2D((3, 2), strides=(2, 1), padding="valid", name="pool", dtype="float16")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, MaxPoolingWithArgmax2D)
    assert again.get_config() == layer.get_config()
    assert (again.pool_size, again.strides, again.padding) == ((3, 2), (2, 1), "valid")


def test_mixed_precision_keeps_whole_indices():
    layer = MaxPoolingWithArgmax2D(dtype="mixed_float16")
    x = _x(1, 70, 70, 3)
    values, indices = layer(x)
    assert keras.backend.standardize_dtype(values.dtype) == "float16"
    assert keras.backend.standardize_dtype(indices.dtype) == INDEX_DTYPE
    # 70 * 70 * 3 places are more than float16 can count
    np.testing.assert_array_equal(
        indices, tf.nn.max_pool_with_argmax(x.astype("float16").astype("f"), 2, 2, "SAME")[1]
    )


def test_refuses_what_does_not_fit():
    with pytest.raises(SettingsError, match="pool_size"):
        MaxPoolingWithArgmax2D(0)
    with pytest.raises(SettingsError, match="does not fit a map of 3"):
        MaxPoolingWithArgmax2D(4, padding="valid")(_x(1, 3, 8, 1))
    with pytest.raises(SettingsError, match="does not fit a map of 3"):
        MaxPoolingWithArgmax2D(4, padding="valid")(keras.Input((8, 3, 1)))
