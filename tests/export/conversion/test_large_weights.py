"""Weights led round tf2onnx: the same file, in onnxruntime, as with them inside."""

import keras
import numpy as np
import pytest

import kseg
from kseg.export.conversion import large_weights

pytest.importorskip("tf2onnx")


def net():
    """Every operation with a kernel that a network of kseg has, and a convolution used twice."""
    keras.utils.set_random_seed(5)
    image = keras.Input((None, None, 3))
    twice = keras.layers.Conv2D(3, 3, padding="same", name="twice")
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(twice(twice(image)))
    x = kseg.layers.AtrousConv2D(8, 3, rate=2)(x)
    x = kseg.layers.BatchNormalization()(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.Dense(6)(x)
    x = keras.layers.Conv2DTranspose(5, 4, strides=2, padding="same")(x)
    return keras.Model(image, keras.layers.Conv2D(4, 1)(x))


@pytest.mark.parity
@pytest.mark.parametrize("size", [None, (24, 30)])
def test_the_file_computes_the_same_and_has_one_input(monkeypatch, tmp_path, size):
    import onnx

    model, image = net(), np.random.default_rng(0).uniform(0, 255, (1, 24, 30, 3)).astype("float32")
    found = {}
    for limit in (1, 10**9):
        monkeypatch.setattr(large_weights, "LARGE", limit)
        path = tmp_path / f"{limit}.onnx"
        assert kseg.export.onnx(model, path, size=size, images=image.astype("uint8")).equal
        graph = onnx.load(path).graph
        assert [entry.name for entry in graph.input] == ["image"]
        names = {tensor.name for tensor in graph.initializer}
        assert len(names) == len(graph.initializer)
        # A kernel that is a constant is not turned at every call.
        assert not any(node.op_type == "Transpose" and node.input[0] in names for node in graph.node)
        found[limit] = kseg.export.load(path)(image)
    np.testing.assert_allclose(found[1], model(image), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found[1], found[10**9], rtol=1e-4, atol=1e-3)


@pytest.mark.parity
def test_named_inputs_and_outputs(monkeypatch, tmp_path):
    image = keras.Input((8, 8, 3), name="photo")
    model = keras.Model({"photo": image}, {"scores": keras.layers.Conv2D(2, 3)(image)})
    monkeypatch.setattr(large_weights, "LARGE", 1)
    assert kseg.export.onnx(model, tmp_path / "n.onnx").equal


def test_most_models_have_none(monkeypatch):
    assert not large_weights.LargeWeights(net()).specs
    monkeypatch.setattr(large_weights, "LARGE", 4 * 3 * 3 * 8 * 8)
    assert [tuple(spec.shape) for spec in large_weights.LargeWeights(net()).specs] == [(3, 3, 8, 8)]
