"""A trained network with one more level: what was trained stays, the new level's statistics are its maps'."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture
def add_level(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("add_level", "graph", "network", "start"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import add_level

    return add_level


def network():
    keras.utils.set_random_seed(0)
    backbone = kseg.backbones.DeepLabMobileNetV2(0.25)
    model = kseg.models.LiteFPN(backbone, 2, levels=(("stage3", 16, 8), ("stage2", 16, 8)), decoder=0)
    model.classes, model.palette = ("background", "person"), ((0, 0, 0), (9, 9, 9))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    return model


def map_of(model, layer, images):
    return np.asarray(keras.Model(model.input, model.get_layer(layer).output)(images, training=False))


def test_what_was_trained_stays(add_level):
    before = network()
    after = add_level.with_level(before, ("stage1", 16, 8))
    images = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3)).astype("float32")
    expected = map_of(before, "stage2_mixed_relu", images)
    assert expected.shape[1:3] == (16, 24)
    np.testing.assert_array_equal(map_of(after, "stage2_mixed_relu", images), expected)
    assert map_of(after, "stage1_mixed_relu", images).shape == (2, 32, 48, 16)
    assert after(images).shape == (2, 64, 96, 2)
    assert after.levels[-1] == ("stage1", 16, 8)
    assert (after.classes, after.palette) == (before.classes, before.palette)


def test_the_new_levels_statistics_are_those_of_its_maps(add_level):
    pytest.importorskip("torch")
    model = add_level.with_level(network(), ("stage1", 16, 8))
    old = model.get_layer("stage2_mixed_bn").get_weights()
    images = np.random.default_rng(1).integers(0, 256, (4, 64, 64, 3)).astype("float32")
    new = {layer.name for layer in model.layers if layer.name.startswith("stage1") and layer.name.endswith("_bn")}
    assert len(new) == 4
    import start

    start.unfold(model, {}, images, new)
    for name in new:
        maps = map_of(model, name.removesuffix("_bn") + ("" if "dwconv" in name else "_conv"), images)
        mean, variance = model.get_layer(name).get_weights()[2:]
        np.testing.assert_allclose(mean, maps.mean((0, 1, 2)), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(variance, maps.var((0, 1, 2)), rtol=1e-2, atol=1e-4)
    for was, weights in zip(old, model.get_layer("stage2_mixed_bn").get_weights(), strict=True):
        np.testing.assert_array_equal(weights, was)
