"""The rewritten network gives what it gave, by LiteRT in float32; NumPy loops for one convolution."""

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import kseg
from kseg.export.conversion.flatbuffer import Flatbuffer
from kseg.export.conversion.int8_graph import cheaper, quantized
from kseg.export.conversion.tflite import _Asked, _converted
from kseg.export.graph import inspected


def calibrated(model, size, dynamic=False):
    """The network with the range of each map, as `kseg.export.tflite` has it converted."""
    rng, info = np.random.default_rng(0), inspected(model)
    samples = [rng.uniform(0, 255, (1, *size, info.channels)).astype("float32") for _ in range(2)]
    return _converted(model, info, _Asked(None if dynamic else size, "int8", info.output), samples)


def run(content, image):
    interpreter = Interpreter(model_content=content)
    entry = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(entry["index"], image.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], image.astype(entry["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def kinds(content):
    graph = Flatbuffer(content)
    return [graph.kind(step) for step in graph.operators]


def network(*layers, size=(20, 24), channels=3):
    """Layers one after the other on an image, with weights that are not zero."""
    keras.utils.set_random_seed(2)
    image = keras.Input((*size, channels), name="image")
    x = image
    for layer in layers:
        x = layer(x)
    model = keras.Model(image, keras.layers.Conv2D(2, 3, padding="same", name="score")(x))
    rng = np.random.default_rng(3)
    model.set_weights([rng.normal(0, 0.3, w.shape).astype("float32") for w in model.get_weights()])
    return model


def first(**settings):
    return keras.layers.Conv2D(6, **{"kernel_size": 3, "strides": 2, "activation": "relu", **settings})


def same_outputs(model, size, dynamic=False):
    """The rewritten network, once its outputs are those of the network as it was."""
    before = calibrated(model, size, dynamic)
    after = cheaper(before)
    for seed in range(2):
        image = np.random.default_rng(seed).uniform(0, 255, (1, *size, model.inputs[0].shape[-1]))
        expected = run(before, image)
        np.testing.assert_allclose(run(after, image), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    return kinds(before), kinds(after), after


SAME, VALID = {"padding": "same"}, {"padding": "valid"}


@pytest.mark.parametrize(
    ("padding", "settings", "size", "joined"),
    [
        (0, SAME, (20, 24), True),
        pytest.param(0, VALID | {"kernel_size": 2}, (19, 24), True, marks=pytest.mark.full),
        pytest.param(2, VALID | {"kernel_size": 5}, (20, 24), True, marks=pytest.mark.full),
        pytest.param(0, SAME | {"kernel_size": 5}, (20, 24), False, marks=pytest.mark.full),
        pytest.param(0, SAME | {"strides": 3}, (20, 24), True, marks=pytest.mark.full),
        pytest.param(0, SAME | {"strides": 1}, (20, 24), False, marks=pytest.mark.full),
        pytest.param(0, SAME, (21, 23), False, marks=pytest.mark.full),
        pytest.param(1, VALID, (21, 23), False, marks=pytest.mark.full),
    ],
)
def test_mean_deviation_and_columns(padding, settings, size, joined):
    """The mean is subtracted, the deviation in the weights, and columns side by side where they can be."""
    normalize = kseg.layers.Normalize((100.0, 120.0, 127.5), (50.0, 60.0, 127.5))
    layers = [normalize, *[keras.layers.ZeroPadding2D(padding)] * bool(padding), first(**settings)]
    before, after, data = same_outputs(network(*layers, size=size), size)
    assert "MUL" in before
    assert "MUL" not in after
    assert ("RESHAPE" in after) == joined
    gray = np.full((1, *size, 3), 200, np.uint8)
    expected = run(data, gray)
    np.testing.assert_allclose(run(quantized(data), gray), expected, atol=0.1 * np.abs(expected).max())


def test_an_image_keeps_its_256_levels():
    """A network that gives the image: what int8 gives is at most one level off."""
    image = keras.Input((8, 64, 1))
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    layer = keras.layers.Conv2D(1, 1)
    model = keras.Model(image, keras.layers.Concatenate()([layer(x), layer(x)]))
    layer.set_weights([np.full((1, 1, 1, 1), 127.5, "float32"), np.full(1, 127.5, "float32")])
    levels = np.tile(np.arange(256, dtype="float32").reshape(1, 4, 64, 1), (1, 2, 1, 1))
    info = inspected(model, "logits")
    data = _converted(model, info, _Asked((8, 64), "int8", "logits"), [levels])
    found = run(quantized(cheaper(data)), levels)[..., 0]
    assert np.abs(found - levels[..., 0]).max() <= 1.01


@pytest.mark.full
def test_six_maps_are_concatenated_in_two_steps():
    image = keras.Input((12, 16, 3))
    maps = [keras.layers.Conv2D(count, 3, padding="same")(image) for count in (1, 2, 3, 4, 5, 6)]
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(keras.layers.Concatenate()(maps)))
    before, after, _ = same_outputs(model, (12, 16))
    assert (before.count("CONCATENATION"), after.count("CONCATENATION")) == (1, 2)


@pytest.mark.full
def test_a_free_size_stays_free():
    normalize = kseg.layers.Normalize()
    model = network(normalize, first(padding="same"), size=(None, None))
    _, after, data = same_outputs(model, (20, 24), dynamic=True)
    assert not {"MUL", "RESHAPE"} & set(after)
    image = np.random.default_rng(0).uniform(0, 255, (1, 33, 17, 3)).astype("float32")
    expected = np.asarray(model(image))
    np.testing.assert_allclose(run(data, image), expected, atol=1e-3 * np.abs(expected).max())
