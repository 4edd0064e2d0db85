"""A quantised network read as floats, and cut so that what is left tells most: against TensorFlow and NumPy."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture
def start(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("start", "graph", "network", "slimming"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import start

    return start


def drawn(model, seed=0):
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    return model


def network(expansions=(1, 6, 6, 6, 6, 6, 6)):
    keras.utils.set_random_seed(0)
    backbone = kseg.backbones.DeepLabMobileNetV2(0.25, expansions=expansions)
    return drawn(kseg.models.LiteFPN(backbone, 2, levels=(("stage3", 16, 8),), decoder=0))


IMAGES = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3)).astype("uint8")


def test_kernels_and_biases_of_a_quantised_file(start, tmp_path):
    tf = pytest.importorskip("tensorflow")
    image = keras.Input((16, 16, 3), batch_size=1)
    x = keras.layers.Conv2D(5, 3, strides=2, bias_initializer="normal", activation="relu")(image)
    x = keras.layers.DepthwiseConv2D(3, bias_initializer="normal", activation="relu")(x)
    model = keras.Model(image, keras.layers.Conv2D(4, 1, bias_initializer="normal")(x))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    rng = np.random.default_rng(0)
    converter.representative_dataset = lambda: ([rng.random((1, 16, 16, 3), "float32")] for _ in range(8))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    path = tmp_path / "quantised.tflite"
    path.write_bytes(converter.convert())
    found = start.convolutions(path)
    layers = [layer for layer in model.layers if layer.weights]
    assert len(found) == len(layers) == 3
    for layer, (kernel, bias) in zip(layers, found, strict=True):
        expected = np.asarray(layer.kernel)
        assert kernel.shape == expected.shape
        np.testing.assert_allclose(kernel, expected, atol=np.abs(expected).max() / 127)
        np.testing.assert_allclose(bias, np.asarray(layer.bias), atol=1e-3)


def test_every_kernel_gets_to_its_layer(start):
    model = network()
    layers = [layer for layer in model.layers if "conv" in type(layer).__name__.lower()]
    count = next(n for n, layer in enumerate(layers) if layer.name == "block7a_project_conv") + 1
    layers = layers[:count] + [model.get_layer(f"{n}_conv") for n in ("aspp_1x1", "image_level", "projection")]
    rng = np.random.default_rng(2)
    drawn = [(rng.random(layer.kernel.shape, "float32"), rng.random(3)) for layer in layers]
    biases = start.fill(model, [*drawn, (np.zeros((1, 1, 256, 21)), np.zeros(21))])
    for layer, (kernel, bias) in zip(layers[:-1], drawn[:-1], strict=True):
        np.testing.assert_array_equal(np.asarray(layer.kernel), kernel)
        assert biases[layer.name.removesuffix("_conv")] is bias
    kernel = np.asarray(layers[-1].kernel)
    np.testing.assert_array_equal(kernel[:, :, :256], drawn[-1][0][:, :, 256:])
    np.testing.assert_array_equal(kernel[:, :, 256:], drawn[-1][0][:, :, :256])


def hidden_and_given(model, block):
    """What a block's projection takes and gives, (pixels, channels)."""
    layer = model.get_layer(f"{block}_project_conv")
    maps = keras.Model(model.input, [layer.input, layer.output])(IMAGES.astype("float32"), training=False)
    return [np.asarray(one).reshape(-1, one.shape[-1]).astype("float64") for one in maps]


def test_the_channels_kept_are_those_of_a_plain_search(start, monkeypatch):
    monkeypatch.setattr(start, "RIDGE", 1e-12)
    model = network()
    x, y = (one - one.mean(0) for one in hidden_and_given(model, "block4b"))

    def missing(channels):
        kernel = np.linalg.lstsq(x[:, channels], y, rcond=None)[0]
        return np.square(y - x[:, channels] @ kernel).sum()

    expected = []
    for _ in range(6):
        others = [channel for channel in range(x.shape[1]) if channel not in expected]
        expected.append(min(others, key=lambda channel: missing([*expected, channel])))
    found = start.telling(model, IMAGES)(None, "block4b", 6)
    assert found.tolist() == sorted(expected)


@pytest.mark.full
def test_projections_are_fitted_to_the_whole_blocks(start):
    from slimming import slim_from

    large, small = network(), network((1, 2, 2, 4, 4, 4, 4))
    choose = start.telling(large, IMAGES)
    slim_from(small.backbone, large.backbone, choose)
    left = start.refit(small, large, IMAGES)
    x = hidden_and_given(small, "block2a")[0]
    names = ("block2a_project_bn", "block7a_project_bn")
    given, last = (keras.Model(large.input, large.get_layer(name).output) for name in names)
    y = np.asarray(given(IMAGES.astype("float32"), training=False)).reshape(len(x), -1)
    ours = keras.Model(small.input, small.get_layer(names[0]).output)(IMAGES.astype("float32"), training=False)
    ours = np.asarray(ours).reshape(y.shape)
    best = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
    least = np.square(y - np.c_[x, np.ones(len(x))] @ best).sum()
    assert np.square(y - ours).sum() == pytest.approx(least, rel=0.02)
    assert left["block2a_project_bn"] == pytest.approx(least / np.square(y - y.mean(0)).sum(), rel=0.02)

    whole = network()
    drawn(whole, seed=5)
    slim_from(whole.backbone, large.backbone)
    assert max(start.refit(whole, large, IMAGES).values()) < 1e-3
    theirs = np.asarray(last(IMAGES.astype("float32"), training=False))
    ours = keras.Model(whole.input, whole.get_layer(names[1]).output)(IMAGES.astype("float32"), training=False)
    np.testing.assert_allclose(np.asarray(ours), theirs, atol=0.05 * theirs.std())
