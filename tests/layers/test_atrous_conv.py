import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from kseg.errors import SettingsError
from kseg.layers import AtrousConv2D


def _x(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


SETTINGS = [
    {"kernel_size": 3, "rate": 2},
    {"kernel_size": (1, 3), "rate": (2, 4), "padding": "valid", "activation": "relu"},
    {"kernel_size": 4, "rate": 3, "use_bias": False},
    {"kernel_size": 3, "rate": 2, "groups": 2},
    {"kernel_size": 3},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_weights_and_numbers_are_those_of_keras_conv2d(settings):
    settings = dict(settings)
    ours = AtrousConv2D(6, bias_initializer="ones", **settings)
    rate = settings.pop("rate", 1)
    keras_own = layers.Conv2D(
        6, dilation_rate=rate, bias_initializer="ones", **{"padding": "same", **settings}
    )
    x = _x(2, 11, 12, 4)
    ours.build(x.shape)
    keras_own.build(x.shape)
    keras_own.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x), keras_own(x), atol=1e-5)
    assert ours.compute_output_shape(x.shape) == tuple(keras_own(x).shape)


def test_config_round_trip_and_reload(tmp_path):
    layer = AtrousConv2D(
        5, (3, 2), rate=(2, 3), padding="valid", activation="relu", use_bias=False,
        kernel_initializer="he_normal", kernel_regularizer=keras.regularizers.L2(1e-3), name="holes",
    )  # fmt: skip
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, AtrousConv2D)
    assert again.get_config() == layer.get_config()
    assert again.rate == (2, 3)
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    model.save(tmp_path / "m.keras")
    x = _x(1, 9, 10, 3)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(x), model(x))


def test_mixed_precision_trains():
    model = keras.Sequential([keras.Input((None, None, 2)), AtrousConv2D(3, 3, 2, dtype="mixed_float16")])
    model.compile("sgd", "mse")
    x = _x(2, 8, 9, 2)
    before = model.evaluate(x, _x(2, 8, 9, 3), verbose=0)
    model.fit(x, _x(2, 8, 9, 3), epochs=3, verbose=0)
    assert model.evaluate(x, _x(2, 8, 9, 3), verbose=0) < before
    assert keras.backend.standardize_dtype(model(x).dtype) == "float16"


def test_strides_and_bad_rates_are_refused():
    for settings in (
        {"strides": 2},
        {"dilation_rate": 2},
        {"data_format": "channels_first"},
        {"padding": "causal"},
    ):
        with pytest.raises(SettingsError, match=r"`rate` instead|`padding` must be"):
            AtrousConv2D(4, 3, **settings)
    with pytest.raises(SettingsError, match="whole number from 1 on"):
        AtrousConv2D(4, 3, rate=0)


def _folding_net(size):
    """Convolution, normalisation with statistics of its own, ReLU."""
    rng = np.random.default_rng(1)
    image = keras.Input((*size, 3))
    normalization = layers.BatchNormalization()
    x = layers.ReLU()(normalization(AtrousConv2D(4, 3, 2, use_bias=False)(image)))
    normalization.moving_mean.assign(rng.normal(size=4))
    normalization.moving_variance.assign(rng.uniform(0.5, 2, size=4))
    return keras.Model(image, x)


@pytest.mark.parametrize(("size", "names"), [((9, 10), {"CONV_2D"}), ((None, None), {"PAD", "CONV_2D"})])
@pytest.mark.tensorflow
def test_litert_is_one_convolution(tmp_path, size, names):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model, x = _folding_net(size), _x(1, 9, 10, 3)
    model.export(
        str(tmp_path / "m.tflite"),
        format="litert",
        input_signature=[tf.TensorSpec((1, *size, 3), "float32")],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        verbose=False,
    )
    interpreter = litert.Interpreter(
        str(tmp_path / "m.tflite"),
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    found = [step["op_name"] for step in interpreter._get_ops_details()]
    assert found.count("CONV_2D") == 1
    assert set(found) == names
    entry = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(entry, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry, x)
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), model(x), atol=1e-5
    )


@pytest.mark.parity
@pytest.mark.parametrize("size", [(9, 10), (None, None)])
@pytest.mark.tensorflow
def test_onnx_is_one_convolution(tmp_path, size):
    runtime, onnx = pytest.importorskip("onnxruntime"), pytest.importorskip("onnx")
    model, x = _folding_net(size), _x(1, 9, 10, 3)
    want = model(x)
    model.export(str(tmp_path / "m.onnx"), format="onnx", verbose=False)
    found = sorted(node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node)
    assert found == ["Conv", "Relu", "Transpose", "Transpose"]
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x})[0], want, atol=1e-5)


@pytest.mark.tensorflow
def test_gradients_of_grouped_convolutions():
    """They are left to Keras, whose dilated convolution has the same weights."""
    x = _x(1, 9, 8, 4)
    ours = AtrousConv2D(6, 3, 2, groups=2)
    theirs = layers.Conv2D(6, 3, padding="same", dilation_rate=2, groups=2)
    theirs.build(x.shape)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    found = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            variable = tf.constant(x)
            tape.watch(variable)
            loss = tf.reduce_sum(layer(variable) ** 2)
        found.append(tape.gradient(loss, [variable, layer.kernel.value]))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
