import keras
import numpy as np
import pytest
import tensorflow as tf

from kseg.errors import SettingsError
from kseg.layers import PyramidPooling


def _x(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _enlarge(grid, size):
    """Bilinear interpolation with aligned corners, one place at a time."""
    batch, rows, columns, channels = grid.shape
    out = np.empty((batch, *size, channels))
    for i, j in np.ndindex(*size):
        y = i * (rows - 1) / (size[0] - 1)
        z = j * (columns - 1) / (size[1] - 1)
        top, left = min(int(y), max(rows - 2, 0)), min(int(z), max(columns - 2, 0))
        bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
        a, b = y - top, z - left
        upper = grid[:, top, left] * (1 - b) + grid[:, top, right] * b
        lower = grid[:, bottom, left] * (1 - b) + grid[:, bottom, right] * b
        out[:, i, j] = upper * (1 - a) + lower * a
    return out


def test_without_reduction_each_level_is_the_enlarged_pooling_in_the_order_given():
    x = _x(2, 6, 9, 2)
    y = np.array(PyramidPooling(1, bins=(3, 1), reduce=False)(x))
    thirds = x.reshape(2, 3, 2, 3, 3, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(y[..., :2], x)
    np.testing.assert_allclose(y[..., 2:4], _enlarge(thirds, (6, 9)), atol=1e-6)
    np.testing.assert_allclose(
        y[..., 4:], np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape), atol=1e-6
    )


def test_levels_are_reduced_normalised_and_rectified():
    layer = PyramidPooling(4, bins=(1, 3), mode="max", epsilon=1e-4)
    x = _x(2, 6, 9, 2)
    layer(x)
    rng = np.random.default_rng(1)
    for bn in layer.normalizations:
        bn.set_weights(
            [rng.uniform(0.5, 2, 4), rng.normal(size=4), rng.normal(size=4), rng.uniform(0.5, 2, 4)]
        )
    y = np.array(layer(x))
    thirds = x.reshape(2, 3, 2, 3, 3, 2).max(axis=(2, 4)) @ np.array(layer.convolutions[1].kernel)[0, 0]
    gamma, beta, mean, variance = layer.normalizations[1].get_weights()
    thirds = np.maximum((thirds - mean) / np.sqrt(variance + 1e-4) * gamma + beta, 0)
    np.testing.assert_allclose(y[..., 6:], _enlarge(thirds, (6, 9)), atol=1e-5)


def test_parameters_of_the_paper():
    layer = PyramidPooling(512)
    layer.build((None, None, None, 2048))
    assert sum(int(np.prod(w.shape)) for w in layer.trainable_weights) == 4 * (2048 * 512 + 2 * 512)
    assert layer.compute_output_shape((None, None, None, 2048)) == (None, None, None, 4096)
    assert PyramidPooling(512, reduce=False).compute_output_shape((2, 60, 60, 2048)) == (2, 60, 60, 5 * 2048)


@pytest.mark.full
def test_any_size_in_one_model_and_training():
    model = keras.Sequential([keras.Input((None, None, 3)), PyramidPooling(2, bins=(1, 2, 6), momentum=0.5)])
    model.compile("sgd", "mse")
    for size in ((12, 18), (7, 13), (4, 5)):
        x = _x(2, *size, 3)
        assert model.predict(x, verbose=0).shape == (2, *size, 9)
        model.train_on_batch(x, np.zeros((2, *size, 9), "float32"))
    moved = [np.abs(bn.moving_mean.numpy()).max() for bn in model.layers[0].normalizations]
    assert min(moved) > 0


def test_config_round_trip_and_reload(tmp_path):
    synchronized = keras.backend.backend() == "tensorflow"  # Keras has it there only
    layer = PyramidPooling(
        3, bins=(4, 2), mode="max", align_corners=False, momentum=0.9, epsilon=1e-3, synchronized=synchronized,
        kernel_regularizer=keras.regularizers.L2(1e-3), name="pyramid",
    )  # fmt: skip
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert isinstance(again, PyramidPooling)
    assert again.get_config() == layer.get_config()
    assert PyramidPooling.from_config({**layer.get_config(), "reduce": False}).convolutions == []
    model = keras.Sequential([keras.Input((None, None, 3)), layer])
    model.save(tmp_path / "m.keras")
    x = _x(1, 7, 8, 3)
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "m.keras")(x), model(x))


def test_mixed_precision():
    x = _x(1, 12, 13, 3)
    half, full = (PyramidPooling(2, bins=(1, 3), dtype=policy) for policy in ("mixed_float16", "float32"))
    half.build(x.shape)
    full.build(x.shape)
    full.set_weights(half.get_weights())
    assert keras.backend.standardize_dtype(half(x).dtype) == "float16"
    np.testing.assert_allclose(half(x), full(x), atol=5e-3)


@pytest.mark.parametrize(
    "bad",
    [
        {"filters": 0},
        {"filters": 2.5},
        {"filters": "3"},
        {"bins": ()},
        {"bins": (1, 0)},
        {"bins": 3},
        {"bins": None},
        {"bins": (1, 2.5)},
        {"bins": "12"},
        {"mode": "mean"},
    ],
)
def test_refuses(bad):
    with pytest.raises(SettingsError, match="must be"):
        PyramidPooling(**{"filters": 3, **bad})


@pytest.mark.parametrize("mode", ["average", "max"])
@pytest.mark.parametrize("size", [pytest.param((12, 13), marks=pytest.mark.slow), (None, None)])
@pytest.mark.full
@pytest.mark.tensorflow
def test_litert_with_builtin_operations(tmp_path, size, mode):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    model = keras.Sequential([keras.Input((*size, 3)), PyramidPooling(2, bins=(1, 3), mode=mode)])
    model.export(
        str(tmp_path / "m.tflite"),
        format="litert",
        input_signature=[tf.TensorSpec((1, *size, 3), "float32")],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        verbose=False,
    )
    interpreter, x = litert.Interpreter(str(tmp_path / "m.tflite")), _x(1, 12, 13, 3)
    entry = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(entry, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry, x)
    interpreter.invoke()
    np.testing.assert_allclose(
        interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), model(x), atol=1e-5
    )


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["average", "max"])
@pytest.mark.tensorflow
def test_onnx_with_any_size(tmp_path, mode):
    runtime = pytest.importorskip("onnxruntime")
    model = keras.Sequential([keras.Input((None, None, 3)), PyramidPooling(2, bins=(1, 2, 6), mode=mode)])
    x = _x(2, 12, 13, 3)
    want = model(x)
    model.export(str(tmp_path / "m.onnx"), format="onnx", verbose=False)
    session = runtime.InferenceSession(str(tmp_path / "m.onnx"))
    np.testing.assert_allclose(session.run(None, {session.get_inputs()[0].name: x})[0], want, atol=1e-5)


def test_the_level_of_one_bin_with_a_bias_in_place_of_normalisation():
    layer, x = PyramidPooling(4, bins=(1, 3), normalize_global=False), _x(1, 6, 9, 2)
    layer.build(x.shape)
    kernel, bias = (np.random.default_rng(2).normal(size=shape) for shape in ((1, 1, 2, 4), (4,)))
    layer.convolutions[0].set_weights([kernel, bias])
    expected = np.maximum(x.mean((1, 2)) @ kernel[0, 0] + bias, 0)
    y = np.array(layer(x, training=True))  # one image: there is nothing to normalise over
    np.testing.assert_allclose(y[..., 2:6], np.broadcast_to(expected[:, None, None], (1, 6, 9, 4)), atol=1e-5)
    assert [len(bn.weights) if bn else 0 for bn in layer.normalizations] == [0, 4]
    assert not PyramidPooling.from_config(layer.get_config()).normalize_global
