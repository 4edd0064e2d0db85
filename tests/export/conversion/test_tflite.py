import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import kseg
from kseg.errors import ModelError, SettingsError
from kseg.export.conversion.tflite import outside_builtins
from kseg.layers import MaxPoolingWithArgmax2D, MaxUnpooling2D

SIZE = (24, 36)


def run(path, image, size=None):
    """The file in a bare LiteRT interpreter."""
    interpreter = Interpreter(str(path))
    details = interpreter.get_input_details()[0]
    if size is not None:
        interpreter.resize_tensor_input(details["index"], (1, *size, 3))
    interpreter.allocate_tensors()
    interpreter.set_tensor(details["index"], image[None].astype(details["dtype"]))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]), details


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("float32", 1e-4), pytest.param("float16", 0.02, marks=pytest.mark.full), ("dynamic", 0.1)],
)
def test_logits_are_those_of_keras(net, pictures, tmp_path, precision, tolerance):
    parity = kseg.export.tflite(net, tmp_path / "n.tflite", size=SIZE, precision=precision)
    found, details = run(tmp_path / "n.tflite", pictures[0])
    expected = np.asarray(net(pictures[0][None].astype("float32")))
    np.testing.assert_allclose(found, expected, atol=tolerance)
    assert tuple(details["shape"]) == (1, *SIZE, 3)
    assert parity.agreement > 0.99
    assert [file.name for file in tmp_path.iterdir()] == ["n.tflite"]


def test_int8_takes_bytes_as_they_are_and_gives_class_ids(net, dataset, tmp_path):
    path = tmp_path / "n.tflite"
    images = kseg.export.calibration_images(dataset, SIZE, count=2)
    kseg.export.tflite(net, path, size=SIZE, precision="int8", calibration=images, class_ids=True)
    image, _ = dataset.load(1)
    found, details = run(path, image)
    assert details["dtype"] is np.uint8
    assert details["quantization"] == (1.0, 0)
    assert found.dtype == np.uint8
    assert found.shape == (1, *SIZE)
    inside = np.asarray(net(image[None].astype("float32")))[0]
    sure = np.sort(inside, -1)[..., -1] - np.sort(inside, -1)[..., -2] > 0.5
    np.testing.assert_array_equal(found[0][sure], inside.argmax(-1)[sure])
    assert sure.mean() > 0.5


def test_free_sizes(net, tmp_path):
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, dynamic=True)
    for size in ((17, 23), (40, 8)):
        image = np.random.default_rng(0).uniform(0, 255, (*size, 3)).astype("float32")
        found, _ = run(path, image, size)
        np.testing.assert_allclose(found, net(image[None]), atol=1e-4)


def test_labels_and_side_file_are_packed_in(net, tmp_path):
    path = tmp_path / "n.tflite"
    net.classes, net.palette = ("sky", "road", "car"), ((0, 0, 0), (1, 2, 3), (4, 5, 6))
    kseg.export.tflite(net, path, size=SIZE, class_ids=True)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("labels.txt").decode() == "sky\nroad\ncar\n"
        side = json.loads(archive.read("kseg.json"))
    assert side["classes"] == ["sky", "road", "car"]
    assert side["palette"] == [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
    assert side["input"]["range"] == [0, 255]
    assert side["input"]["size"] == [24, 36]
    assert side["output"] == "class_ids"


def test_half_precision_is_exported_in_float32(half_net, tmp_path):
    parity = kseg.export.tflite(half_net, tmp_path / "n.tflite", size=SIZE)
    assert parity.equal
    assert kseg.export.load(tmp_path / "n.tflite").operations["DEQUANTIZE"] == 0


def test_unpooling_has_builtins_only_and_the_same_bits(tmp_path):
    image = keras.Input((16, 16, 8))
    pooled, argmax = MaxPoolingWithArgmax2D(2)(image)
    net = keras.Model(image, MaxUnpooling2D(2)([pooled, argmax]))
    path = tmp_path / "n.tflite"
    kseg.export.tflite(net, path, size=(16, 16))
    found = kseg.export.load(path)
    x = np.random.default_rng(0).normal(size=(1, 16, 16, 8)).astype("float32")
    np.testing.assert_array_equal(found(x), net(x))
    assert outside_builtins(found.operations) == {}


class TensorFlowPooling(keras.layers.Layer):
    """What kseg's own layer avoids: it becomes a Flex operation."""

    def call(self, x):
        return tf.nn.max_pool_with_argmax(x, 2, 2, "SAME")[0]

    def compute_output_shape(self, shape):
        return (shape[0], None, None, shape[3])


def test_operations_outside_of_the_builtins_are_refused_by_name(tmp_path):
    image = keras.Input((16, 16, 3))
    with pytest.raises(ModelError, match="MaxPoolWithArgmax"):
        kseg.export.tflite(keras.Model(image, TensorFlowPooling()(image)), tmp_path / "n.tflite")
    assert list(tmp_path.iterdir()) == []


class TensorFlowDilation(keras.layers.Layer):
    """A dilated convolution of a layer that the exporter does not know."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3, 3, shape[-1], 2))

    def call(self, x):
        return tf.nn.convolution(x, self.kernel, padding="SAME", dilations=2)

    def compute_output_shape(self, shape):
        return (*shape[:3], 2)


def test_dilation_as_space_to_batch_is_refused(tmp_path):
    image = keras.Input((None, None, 3))
    net = keras.Model(image, TensorFlowDilation()(image))
    with pytest.raises(ModelError, match="SPACE_TO_BATCH_ND"):
        kseg.export.tflite(net, tmp_path / "n.tflite", dynamic=True)
    assert list(tmp_path.iterdir()) == []


def test_mistakes(net, tmp_path):
    path = tmp_path / "n.tflite"
    with pytest.raises(SettingsError, match="size"):
        kseg.export.tflite(net, path)
    with pytest.raises(SettingsError, match="calibration"):
        kseg.export.tflite(net, path, size=SIZE, precision="int8")
    with pytest.raises(SettingsError, match="float64"):
        kseg.export.tflite(net, path, size=SIZE, precision="float64")
    with pytest.raises(SettingsError, match=r"\.tflite"):
        kseg.export.tflite(net, tmp_path / "n.onnx", size=SIZE)
    with pytest.raises(ModelError, match="agree"):
        kseg.export.tflite(net, path, size=SIZE, min_agreement=1.1)
    assert list(tmp_path.iterdir()) == []
