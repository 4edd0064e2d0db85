"""What files of other programs give, by the last operation of their graphs: TensorFlow's converter, and by hand."""

import numpy as np
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper, save

from kseg.export import load
from kseg.export.runtimes.last_operation import Step, output_kind


def converted(path, function, quantised=False):
    """A foreign .tflite file: a convolution to three channels, then the function."""
    weights = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype("float32"))

    @tf.function(input_signature=[tf.TensorSpec((1, 8, 8, 3), tf.float32)], autograph=False)
    def whole(image):
        return function(tf.nn.conv2d(image, weights, 1, "SAME"))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([whole.get_concrete_function()])
    if quantised:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([np.full((1, 8, 8, 3), v, "float32")] for v in (0, 1))
    path.write_bytes(converter.convert())
    return path


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: x, "logits"),
        (tf.nn.relu, "logits"),
        (tf.nn.log_softmax, "logits"),
        (tf.nn.softmax, "probabilities"),
        (tf.nn.sigmoid, "probabilities"),
        (lambda x: tf.sigmoid(x[..., :1]), "probabilities"),
        (lambda x: tf.image.resize(tf.nn.softmax(x), (16, 16)), "probabilities"),
        (lambda x: tf.transpose(tf.nn.softmax(x), (0, 3, 1, 2)), "probabilities"),
        (lambda x: tf.argmax(x, -1), "labels"),
        (lambda x: tf.cast(tf.argmax(x, -1), tf.float32), "labels"),
    ],
)
def test_tflite_files_of_others(tmp_path, function, expected, quantised):
    assert load(converted(tmp_path / "x.tflite", function, quantised), 1).output == expected


def onnx_file(path, *nodes, result=TensorProto.FLOAT):
    weights = numpy_helper.from_array(np.ones((4, 3, 1, 1), "float32"), "w")
    axes = numpy_helper.from_array(np.array([1], "int64"), "axes")
    steps = [helper.make_node("Conv", ["x", "w"], ["y0"])]
    for number, (name, more, attributes) in enumerate(nodes):
        steps.append(helper.make_node(name, [f"y{number}", *more], [f"y{number + 1}"], **attributes))
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])
    out = helper.make_tensor_value_info(f"y{len(nodes)}", result, None)
    graph = helper.make_graph(steps, "g", [entry], [out], [weights, axes])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


@pytest.mark.parity
@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([], "logits"),
        ([("LogSoftmax", (), {"axis": 1})], "logits"),
        ([("Softmax", (), {"axis": 1})], "probabilities"),
        ([("Sigmoid", (), {})], "probabilities"),
        ([("Softmax", (), {"axis": 1}), ("Transpose", (), {"perm": (0, 2, 3, 1)})], "probabilities"),
        ([("Softmax", (), {"axis": 1}), ("Identity", (), {})], "probabilities"),
        ([("Softmax", (), {"axis": 1}), ("Relu", (), {}), ("Neg", (), {})], "logits"),
    ],
)
def test_onnx_files_of_others(tmp_path, nodes, expected):
    assert load(onnx_file(tmp_path / "x.onnx", *nodes), 1).output == expected


@pytest.mark.parity
def test_onnx_files_that_give_whole_numbers(tmp_path):
    path = onnx_file(tmp_path / "x.onnx", ("ArgMax", (), {"axis": 1}), result=TensorProto.INT64)
    assert load(path, 1).output == "labels"


def test_a_softmax_written_out():
    makers = {
        "p": Step("Div", ["e", "s"]),
        "s": Step("ReduceSum", ["e"]),
        "e": Step("Exp", ["x"]),
        "x": Step("Conv", ["image"]),
    }
    assert output_kind(makers, "p", {}) == "probabilities"
    assert output_kind({**makers, "s": Step("Conv", ["e"])}, "p", {}) == "logits"


def test_the_description_counts_where_the_graph_says_nothing():
    makers = {"y": Step("CONV_2D", ["x"])}
    for said, expected in (("probabilities", "probabilities"), ("class_ids", "labels"), (None, "logits")):
        assert output_kind(makers, "y", {"output": said}) == expected
    assert output_kind({"y": Step("SOFTMAX", ["x"])}, "y", {"output": "logits"}) == "probabilities"


def test_a_graph_that_runs_in_circles_ends():
    assert output_kind({"a": Step("RESHAPE", ["b"]), "b": Step("CAST", ["a"])}, "a", {}) == "logits"
