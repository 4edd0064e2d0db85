import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kseg.errors import SettingsError
from kseg.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D


def _x(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _net(size=(None, None), channels=3, **settings):
    image = keras.Input((*size, channels))
    pooled, argmax = MaxPoolingWithArgmax2D(**settings)(image)
    return keras.Model(image, MaxUnpooling2D(**settings)([pooled, argmax, image]))


def _maxima(x, pool_size=2):
    """`x` where it is the maximum of its window (no ties), else zero."""
    out = np.zeros_like(x)
    for b, i, j, c in np.ndindex(
        x.shape[0], -(-x.shape[1] // pool_size), -(-x.shape[2] // pool_size), x.shape[3]
    ):
        window = (b, slice(i * pool_size, (i + 1) * pool_size), slice(j * pool_size, (j + 1) * pool_size), c)
        out[window] = np.where(x[window] == x[window].max(), x[window], 0)
    return out


def test_restores_the_exact_size_in_a_model_of_any_size():
    model = _net()
    assert model.output_shape == (None, None, None, 3)
    for size in ((6, 8), (7, 5), (1, 9)):
        x = _x(2, *size, 3)
        np.testing.assert_array_equal(model.predict(x, verbose=0), _maxima(x))


def test_without_like_the_size_is_a_multiple_of_the_stride():
    x = _x(2, 6, 8, 3)
    pooled = MaxPoolingWithArgmax2D(2)(x)
    np.testing.assert_array_equal(MaxUnpooling2D(2)(pooled), _maxima(x))
    assert MaxUnpooling2D(3, 2, "valid").compute_output_shape([(2, 4, None, 3)] * 2) == (2, 9, None, 3)
    assert MaxUnpooling2D(2).compute_output_shape([(2, 4, 4, 3), (2, 4, 4, 3), (2, 7, None, 1)]) == (
        2,
        7,
        None,
        3,
    )


def test_other_values_than_the_pooled_ones_go_to_the_same_places():
    x, values = _x(1, 5, 7, 2), 1 + np.arange(24, dtype="float32").reshape(1, 3, 4, 2)
    _, argmax = MaxPoolingWithArgmax2D(2)(x)
    y = np.array(MaxUnpooling2D(2)([values, argmax, x]))
    np.testing.assert_array_equal(y != 0, _maxima(x) != 0)
    np.testing.assert_array_equal(np.sort(y[y != 0]), 1 + np.arange(24))


@pytest.mark.tensorflow
@pytest.mark.parametrize("jit_compile", [True, False])
def test_trains_under_xla_and_without(jit_compile):
    keras.utils.set_random_seed(0)
    image = keras.Input((9, 10, 3))
    x = layers.Conv2D(4, 3, padding="same")(image)
    pooled, argmax = MaxPoolingWithArgmax2D()(x)
    x = MaxUnpooling2D()([layers.Conv2D(4, 3, padding="same")(pooled), argmax, x])
    model = keras.Model(image, layers.Conv2D(1, 3, padding="same")(x))
    assert all(layer.supports_jit for layer in model.layers)
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=jit_compile)
    data = _x(4, 9, 10, 3)
    history = model.fit(data, data[..., :1], epochs=5, batch_size=4, verbose=0).history["loss"]
    np.testing.assert_allclose(history, _train_with_tensorflow(model, data), rtol=1e-3)


def _train_with_tensorflow(like, data):
    """The same training with TensorFlow's own pooling and scattering, from the same start."""
    keras.utils.set_random_seed(0)
    first, second, last = (layers.Conv2D(f, 3, padding="same") for f in (4, 4, 1))
    optimizer, losses = keras.optimizers.SGD(0.05), []

    def forward():
        x = first(data)
        pooled, argmax = tf.nn.max_pool_with_argmax(x, 2, 2, "SAME", include_batch_in_index=True)
        places = tf.reshape(argmax, (-1, 1))
        flat = tf.scatter_nd(places, tf.reshape(second(pooled), (-1,)), (tf.size(x, tf.int64),))
        return last(tf.reshape(flat, tf.shape(x)))

    forward()
    variables = [w for layer in (first, second, last) for w in layer.trainable_variables]
    assert len(variables) == len(like.trainable_variables)
    for _ in range(5):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((forward() - data[..., :1]) ** 2)
        optimizer.apply(tape.gradient(loss, variables), variables)
        losses.append(float(loss))
    return losses


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = _net((7, 9))
        x = _x(2, 7, 9, 3)
        y = model(x)
        assert keras.backend.standardize_dtype(y.dtype) == "float16"
        np.testing.assert_array_equal(y, _maxima(x.astype("float16")))
    finally:
        keras.config.set_dtype_policy("float32")


def test_config_round_trip():
    layer = MaxUnpooling2D((3, 2), strides=(2, 1), padding="valid", name="unpool")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, MaxUnpooling2D)
    assert again.get_config() == layer.get_config()
    assert (again.pool_size, again.strides, again.padding) == ((3, 2), (2, 1), "valid")


def test_saved_model_reloads_bit_equal(tmp_path):
    model, x = _net(pool_size=(3, 2), strides=(2, 1)), _x(2, 8, 7, 3)
    model.save(tmp_path / "m.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(x), model(x))


def _run_litert(path, x):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    entry = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(entry, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry, x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.full
@pytest.mark.parametrize(
    ("size", "settings"),
    [
        ((7, 9), {}),
        ((None, None), {}),
        ((7, 9), {"pool_size": 3, "strides": 2}),
        pytest.param((7, 9), {"pool_size": (3, 2), "padding": "valid"}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.tensorflow
def test_litert_with_builtin_operations_is_bit_identical(tmp_path, size, settings):
    model, x = _net(size, **settings), _x(1, 7, 9, 3)
    model.export(
        str(tmp_path / "m.tflite"),
        format="litert",
        input_signature=[tf.TensorSpec((1, *size, 3), "float32")],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        verbose=False,
    )
    np.testing.assert_array_equal(_run_litert(tmp_path / "m.tflite", x), model(x))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("size", "settings"),
    [((7, 9), {}), ((None, None), {}), ((None, None), {"pool_size": 3, "strides": 2})],
)
@pytest.mark.tensorflow
def test_onnx_is_bit_identical(tmp_path, size, settings):
    runtime = pytest.importorskip("onnxruntime")
    model = _net(size, **settings)
    model(_x(2, 7, 9, 3))
    model.export(str(tmp_path / "m.onnx"), format="onnx", verbose=False)
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    for height, width in ((7, 9), (8, 5)) if size[0] is None else (size,):
        x = _x(2, height, width, 3)
        found = session.run(None, {session.get_inputs()[0].name: x})[0]
        np.testing.assert_array_equal(found, model(x))


_TWO_REPLICAS = """
import keras, numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
from keras import layers
from kseg.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D

def losses(strategy):
    keras.utils.set_random_seed(0)
    with strategy.scope():
        image = keras.Input((7, 8, 3))
        pooled, argmax = MaxPoolingWithArgmax2D()(layers.Conv2D(4, 3, padding="same")(image))
        y = layers.Conv2D(1, 3, padding="same")(MaxUnpooling2D()([pooled, argmax, image]))
        model = keras.Model(image, y)
        model.compile(keras.optimizers.SGD(0.05), "mse")
    x = np.random.default_rng(0).normal(size=(4, 7, 8, 3)).astype("float32")
    return model.fit(x, x[..., :1], epochs=3, batch_size=4, shuffle=False, verbose=0).history["loss"]

two = losses(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
np.testing.assert_allclose(two, losses(tf.distribute.get_strategy()), rtol=1e-4)
"""


@pytest.mark.slow
@pytest.mark.tensorflow
def test_two_replicas_train_like_one():
    done = subprocess.run([sys.executable, "-c", _TWO_REPLICAS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_refuses_what_does_not_belong():
    x = _x(1, 6, 6, 2)
    pooled, argmax = MaxPoolingWithArgmax2D(2)(x)
    with pytest.raises(SettingsError, match="one shape"):
        MaxUnpooling2D(2)([pooled, argmax[..., :1]])
    with pytest.raises(SettingsError, match="places are 0 to 71"):
        MaxUnpooling2D(2)([pooled, argmax + 72])
    with pytest.raises(SettingsError, match="`like` must have the size"):
        MaxUnpooling2D(2)([pooled, argmax, x[:, :4]])
    with pytest.raises(SettingsError, match="a list"):
        MaxUnpooling2D(2)(pooled)
    with pytest.raises(SettingsError, match="one shape"):
        MaxUnpooling2D(2)([keras.Input((4, 4, 2)), keras.Input((4, 5, 2), dtype="int64")])
