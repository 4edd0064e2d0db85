import numpy as np
import pytest

from kseg.errors import ModelError
from kseg.export.runtimes.frames import RANGES, pixel_table
from kseg.webcam.segmentation import load
from kseg.webcam.smoothing import labels_of


@pytest.mark.parametrize(
    ("dtype", "scale", "zero"),
    [
        ("int8", 1.0, -128),
        ("int8", 0.784, -128),
        ("uint8", 0.8, 3),
        ("int16", 0.0078, 0),
        ("uint8", 2 / 255, 127),
    ],
)
@pytest.mark.parametrize("values", ["0..255", "-1..1"])
def test_quantised_pixels_mean_what_the_scale_says(dtype, scale, zero, values):
    table = pixel_table(np.dtype(dtype), (scale, zero), values)
    table = np.arange(256, dtype=dtype) if table is None else table
    assert table.dtype == dtype
    low, high = RANGES[values]
    meant, limits = low + (high - low) * np.arange(256) / 255, np.iinfo(dtype)
    reachable = np.clip(meant, (limits.min - zero) * scale, (limits.max - zero) * scale)
    np.testing.assert_allclose((table.astype(float) - zero) * scale, reachable, atol=0.51 * scale)


def test_quantised_pixels_of_which_nothing_is_said():
    assert pixel_table(np.dtype("uint8"), (0.0078, 127), None) is None
    np.testing.assert_array_equal(pixel_table(np.dtype("int8"), (0.0078, -1), None), np.arange(256) - 128)
    assert pixel_table(np.dtype("uint8"), (0.0, 0), "0..255") is None


def onnx_file(path, shape, kind="FLOAT", layout=(), nodes=()):
    """A 1x1 convolution whose five scores are the channels red, green, blue, and two zeros."""
    from onnx import TensorProto, helper, numpy_helper, save

    weights = numpy_helper.from_array(np.eye(5, 3, dtype="float32").reshape(5, 3, 1, 1), "w")
    steps, last = [helper.make_node("Cast", ["x"], ["c"], to=TensorProto.FLOAT)], "c"
    if layout:
        steps.append(helper.make_node("Transpose", [last], ["t"], perm=layout))
        last = "t"
    steps.append(helper.make_node("Conv", [last, "w"], ["y0"]))
    for number, (name, attributes) in enumerate(nodes):
        steps.append(helper.make_node(name, [f"y{number}"], [f"y{number + 1}"], **attributes))
    entry = helper.make_tensor_value_info("x", getattr(TensorProto, kind), shape)
    result = TensorProto.INT64 if nodes and nodes[-1][0] == "ArgMax" else TensorProto.FLOAT
    out = helper.make_tensor_value_info(f"y{len(nodes)}", result, None)
    graph = helper.make_graph(steps, "g", [entry], [out], [weights])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return str(path)


@pytest.mark.parametrize(
    ("shape", "kind", "layout", "nodes"),
    [
        ([1, 3, 6, 8], "FLOAT", (), ()),
        ([1, 3, 6, 8], "FLOAT16", (), ()),
        ([1, 3, 6, 8], "DOUBLE", (), ()),
        ([1, 6, 8, 3], "UINT8", (0, 3, 1, 2), ()),  # channels last in, first out
        ([1, 3, 6, 8], "FLOAT", (), [("Transpose", {"perm": (0, 2, 3, 1)})]),
        ([1, 3, 6, 8], "FLOAT", (), [("ArgMax", {"axis": 1, "keepdims": 1})]),
        ([1, 3, 6, 8], "FLOAT", (), [("ArgMax", {"axis": 1, "keepdims": 0})]),
    ],
)
def test_onnx_files_of_every_kind(tmp_path, shape, kind, layout, nodes):
    pytest.importorskip("onnxruntime")
    model = load(onnx_file(tmp_path / "m.onnx", shape, kind, layout, nodes), threads=1)
    frame = np.zeros((6, 8, 3), np.uint8)
    frame[:, :4, 0], frame[:, 4:, 2] = 255, 255  # blue, then red
    np.testing.assert_array_equal(labels_of(model(frame), (6, 8)), [[2] * 4 + [0] * 4] * 6)


@pytest.mark.parametrize(
    ("shape", "kind", "nodes", "words"),
    [
        ([1, 3, 6, 8], "INT64", (), r"takes tensor\(int64\)"),
        ([4, 3, 6, 8], "FLOAT", (), "cannot be run on one RGB image"),
        ([1, 3, 6, 8], "FLOAT", [("ReduceMean", {"keepdims": 0})], "cannot be run on|no such"),
        ([1, 3, 6, 8], "FLOAT", [("GlobalAveragePool", {}), ("Flatten", {})], r"output of shape \(5,\)"),
    ],
)
def test_onnx_files_that_do_not_fit_are_refused_with_their_name(tmp_path, shape, kind, nodes, words):
    pytest.importorskip("onnxruntime")
    with pytest.raises(ModelError, match=words) as caught:
        load(onnx_file(tmp_path / "m.onnx", shape, kind, (), nodes), threads=1)
    assert str(caught.value).startswith(f"{tmp_path / 'm.onnx'}: ")


def test_tflite_files_for_several_pictures_at_once_take_one(tmp_path):
    import tensorflow as tf

    function = tf.function(lambda x: x + 1, input_signature=[tf.TensorSpec((2, 4, 6, 3), tf.float32)])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    (tmp_path / "TWO.TFLITE").write_bytes(converter.convert())
    model = load(str(tmp_path / "TWO.TFLITE"), threads=1)  # the ending in capitals too
    assert model(np.zeros((8, 8, 3), np.uint8)).shape == (4, 6, 3)
