"""The PyTorch network that PSPNet is measured against is PSPNet, and kseg's own: the same numbers, the same logits."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

import kseg
from kseg.models import with_auxiliary_head

try:
    import torch
except ImportError:
    torch = None
pytestmark = [pytest.mark.parity, pytest.mark.skipif(torch is None, reason="needs PyTorch")]

if torch is not None:
    _spec = importlib.util.spec_from_file_location(
        "pspnet_in_torch", Path(__file__).resolve().parents[3] / "tools" / "pspnet" / "pspnet_in_torch.py"
    )
    tool = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(tool)


def test_published_parameter_counts():
    with torch.device("meta"):
        network = tool.PSPNet(150)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    auxiliary = counts.pop("auxiliary")
    assert (sum(counts.values()), auxiliary) == (46_782_550, 2_398_358)


def test_sizes():
    with torch.device("meta"):
        network = tool.PSPNet(5)
        image = torch.zeros(2, 3, 473, 473)
        assert [tuple(y.shape) for y in network.train()(image)] == [(2, 5, 473, 473)] * 2
        assert network.eval()(image)[1] is None
        x = torch.nn.functional.max_pool2d(network.stem(image), 3, 2, 1)
        assert network.stage5(network.stage4(network.stage3(network.stage2(x)))).shape == (2, 2048, 60, 60)


def test_a_step_learns_and_leaves_out_ignored_pixels():
    class Tiny(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.score = torch.nn.Conv2d(3, 2, 1)

        def forward(self, x):
            return self.score(x), self.score(x)

    torch.manual_seed(0)
    images, labels = torch.rand(1, 3, 4, 4), torch.full((1, 4, 4), 255)
    labels[0, 0, 0] = 1
    step = tool.training_step(Tiny(), images, labels)
    losses = [step() for _ in range(20)]
    assert losses[-1] < losses[0]


def fill(target, values, order=None):
    values = np.asarray(values)
    target.data.copy_(torch.from_numpy(values if order is None else values.transpose(order).copy()))


def fill_unit(unit, convolution, normalization):
    """Convolution, its kernel with the output channels first, and normalisation."""
    assert unit[1].eps == pytest.approx(normalization.epsilon, rel=2e-3)
    assert 1 - unit[1].momentum == pytest.approx(normalization.momentum)
    fill(unit[0].weight, convolution.kernel, (3, 2, 0, 1))
    own = unit[1].weight, unit[1].bias, unit[1].running_mean, unit[1].running_var
    for target, values in zip(own, normalization.get_weights(), strict=True):
        fill(target, values)


def fill_head(head, model, prefix):
    fill_unit(head[0], model.get_layer(f"{prefix}conv"), model.get_layer(f"{prefix}bn"))
    fill(head[2].weight, model.get_layer(f"{prefix}score").kernel, (3, 2, 0, 1))
    fill(head[2].bias, model.get_layer(f"{prefix}score").bias)


def units(network):
    """Layer names of keras.applications' kind, and the unit of the PyTorch network for each."""
    for number, unit in enumerate(network.stem, 1):
        yield f"conv1_{number}", unit
    for stage in range(2, 6):
        for place, block in enumerate(getattr(network, f"stage{stage}"), 1):
            parts = enumerate(block.path, 1) if place > 1 else enumerate([block.shortcut, *block.path])
            for number, unit in parts:
                yield f"conv{stage}_block{place}_{number}", unit


@pytest.mark.slow
def test_the_same_numbers_give_the_same_logits():
    model = kseg.models.build("pspnet_resnet50", 3)
    rng = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.2, w.shape) for w in layer.weights])
    training_model, network = with_auxiliary_head(model), tool.PSPNet(3)
    for name, unit in units(network):
        fill_unit(unit, model.get_layer(f"{name}_conv"), model.get_layer(f"{name}_bn"))
    pyramid = model.get_layer("pyramid")
    for level in zip(network.levels, pyramid.convolutions, pyramid.normalizations, strict=True):
        fill_unit(*level)
    fill_head(network.head, training_model, "")
    fill_head(network.auxiliary, training_model, "auxiliary_")
    counts = [
        sum(int(np.prod(w.shape)) for w in kind)
        for kind in (network.parameters(), training_model.trainable_weights)
    ]
    assert counts[0] == counts[1]
    image = rng.uniform(0, 255, (1, 65, 81, 3)).astype("float32")
    with torch.inference_mode():
        batch = torch.from_numpy(image).permute(0, 3, 1, 2)
        logits = network.eval()(batch)[0].permute(0, 2, 3, 1).numpy()
        middle = network.stage4(
            network.stage3(
                network.stage2(
                    torch.nn.functional.max_pool2d(network.stem(batch.flip(1) - network.mean), 3, 2, 1)
                )
            )
        )
        auxiliary = tool.upsampled(network.auxiliary(middle), (65, 81)).permute(0, 2, 3, 1).numpy()
    ours = training_model(image)
    for found, expected in ((ours["logits"], logits), (ours["auxiliary"], auxiliary)):
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.std(expected))
