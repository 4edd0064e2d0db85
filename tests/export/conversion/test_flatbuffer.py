"""A flatbuffer that is read and written again runs as it did."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from kseg.export.conversion.flatbuffer import Flatbuffer


@pytest.fixture(scope="module")
def content():
    """y = relu(2 x) + 3 on maps of two channels."""
    image = keras.Input((4, 5, 2))
    model = keras.Model(image, keras.layers.ReLU()(image * 2.0) + 3.0)
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


def run(content, image):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def test_constants_readers_and_shapes(content):
    graph = Flatbuffer(content)
    multiply, add = (next(s for s in graph.operators if graph.kind(s) == kind) for kind in ("MUL", "ADD"))
    assert graph.constant(multiply.inputs[1]).ravel().tolist() == [2.0]
    assert graph.constant(multiply.inputs[0]) is None
    assert graph.shape(add.outputs[0]) == (1, 4, 5, 2)
    assert graph.only_reader(add.outputs[0]) is None  # the graph gives it
    assert graph.limits(add.outputs[0]) is None
    assert graph.shifts_of_image() == set()  # the image is multiplied first


def test_an_edited_graph_runs(content):
    image = np.random.default_rng(0).normal(size=(1, 4, 5, 2)).astype("float32")
    np.testing.assert_array_equal(run(Flatbuffer(content).packed(), image), run(content, image))
    graph = Flatbuffer(content)
    add = next(step for step in graph.operators if graph.kind(step) == "ADD")
    add.inputs = [add.inputs[0], graph.add_constant(np.float32([5.0, 7.0]), "others")]
    np.testing.assert_allclose(
        run(graph.packed(), image), np.maximum(2 * image, 0) + np.float32([5.0, 7.0]), rtol=1e-6
    )


@pytest.mark.full
@pytest.mark.parametrize("dynamic", [False, True])
def test_whether_the_size_is_fixed(dynamic):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.ReLU()(image))
    function = tf.function(lambda x: model(x)).get_concrete_function(
        tf.TensorSpec((1, None, None, 3) if dynamic else (1, 4, 4, 3), tf.float32)
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    assert Flatbuffer(converter.convert()).is_fixed == (not dynamic)
