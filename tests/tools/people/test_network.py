"""The PyTorch form of a Keras network beside Keras itself."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.fixture
def tools(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(TOOLS))
    for name in ("graph", "network"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import graph
    import network

    return graph, network


@pytest.mark.parity
def test_logits_and_weights_are_those_of_keras(tools, tmp_path):
    import torch

    graph, network = tools
    keras.utils.set_random_seed(0)
    backbone = kseg.backbones.DeepLabMobileNetV2(0.35)
    model = kseg.models.LiteFPN(backbone, 2, levels=(("stage3", 16, 16), ("stage2", 16, 8)), decoder=0)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights()])
    images = rng.integers(0, 256, (2, 65, 79, 3)).astype("float32")  # sides that must be padded
    graph.write(model, tmp_path / "n")
    twin = network.load(tmp_path / "n").eval()
    with torch.no_grad():
        found = twin(torch.from_numpy(images).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    expected = np.asarray(model(images, training=False))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    arrays = twin.arrays()
    for name, weights in graph.weights_of(model).items():
        np.testing.assert_array_equal(arrays[name], weights)
    zeros = {name: np.zeros_like(weights) for name, weights in arrays.items()}
    graph.restore(model, zeros)
    assert not any(weights.any() for weights in graph.weights_of(model).values())
    with pytest.raises(ValueError, match="does not fit"):
        graph.restore(model, {name: weights[..., :0] for name, weights in zeros.items()})
