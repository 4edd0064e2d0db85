"""The PyTorch net that PSPNet is measured against is PSPNet."""

import importlib.util
from pathlib import Path

import pytest

try:
    import torch
except ImportError:
    torch = None
pytestmark = [pytest.mark.parity, pytest.mark.skipif(torch is None, reason="needs PyTorch")]

if torch is not None:
    _spec = importlib.util.spec_from_file_location(
        "pspnet_in_torch", Path(__file__).resolve().parents[2] / "tools" / "pspnet_in_torch.py"
    )
    tool = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(tool)


def test_published_parameter_counts():
    with torch.device("meta"):
        net = tool.PSPNet(150)
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}
    auxiliary = counts.pop("auxiliary")
    assert (sum(counts.values()), auxiliary) == (46_782_550, 2_398_358)


def test_sizes():
    with torch.device("meta"):
        net = tool.PSPNet(5)
        image = torch.zeros(2, 3, 473, 473)
        assert [tuple(y.shape) for y in net.train()(image)] == [(2, 5, 473, 473)] * 2
        assert net.eval()(image)[1] is None
        x = torch.nn.functional.max_pool2d(net.stem(image), 3, 2, 1)
        assert net.stage5(net.stage4(net.stage3(net.stage2(x)))).shape == (2, 2048, 60, 60)


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
