import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import kseg
from kseg.export.conversion.dilation import for_converters


def dilated_net():
    """Both kinds of dilated layer, even and odd kernels, unequal rates, biases, an activation."""
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.DepthwiseConv2D(
        (3, 5), padding="same", dilation_rate=2, depth_multiplier=2, name="same", bias_initializer="ones"
    )(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ZeroPadding2D(3)(x)
    x = kseg.layers.DepthwiseConv2D(3, dilation_rate=(3, 1), activation="relu", name="valid")(x)
    x = keras.layers.Conv2D(4, 2, padding="same", dilation_rate=2, name="full")(x)
    x = kseg.layers.Conv2D(3, 2, padding="same", dilation_rate=2, name="own")(x)
    return keras.Model(image, x)


def test_only_dilated_layers_are_exchanged():
    net = dilated_net()
    copy = for_converters(net)
    changed = [
        one.name for one, two in zip(net.layers, copy.layers, strict=True) if type(one) is not type(two)
    ]
    assert changed == ["same", "valid", "full", "own"]
    for ours, theirs in zip(net.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    image = keras.Input((8, 8, 3))
    plain = keras.Model(image, keras.layers.DepthwiseConv2D(3, strides=2)(image))
    assert for_converters(plain) is plain


def test_one_operation_each_at_free_sizes(tmp_path):
    net = dilated_net()
    kseg.export.tflite(net, tmp_path / "n.tflite", dynamic=True)
    operations = kseg.export.load(tmp_path / "n.tflite").operations
    assert (operations["DEPTHWISE_CONV_2D"], operations["CONV_2D"]) == (2, 2)
    assert not [name for name in operations if "BATCH" in name]
    interpreter = Interpreter(str(tmp_path / "n.tflite"))
    for size in ((17, 23), (30, 9)):
        image = np.random.default_rng(0).uniform(0, 255, (1, *size, 3)).astype("float32")
        interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], image.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image)
        interpreter.invoke()
        found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        np.testing.assert_allclose(found, net(image), atol=1e-4)


@pytest.mark.parity
def test_one_convolution_each_in_onnx(tmp_path):
    pytest.importorskip("onnxruntime")
    net = dilated_net()
    assert kseg.export.onnx(net, tmp_path / "n.onnx").equal
    assert kseg.export.load(tmp_path / "n.onnx").operations["Conv"] == 4
