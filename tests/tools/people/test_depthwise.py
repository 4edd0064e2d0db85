"""The gradients of depthwise convolution beside PyTorch's own."""

import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "people"


@pytest.mark.parity
@pytest.mark.parametrize(
    ("stride", "dilation", "size", "side"),
    [(1, 1, 3, 17), (1, 2, 5, 23), (2, 1, 3, 18), (2, 1, 5, 21), (1, 4, 3, 20)],
)
def test_gradients_are_those_of_pytorch(monkeypatch, stride, dilation, size, side):
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.delitem(sys.modules, "depthwise", raising=False)
    from depthwise import depthwise

    make = torch.Generator().manual_seed(0)
    x, weight = (
        torch.randn(*shape, generator=make, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 5, side, side + 3), (5, 1, size, size))
    )
    expected = torch.nn.functional.conv2d(x, weight, None, stride, 1, dilation, 5)
    found = depthwise(x, weight, stride, 1, dilation)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn(expected.shape, generator=make, dtype=torch.float64)
    theirs = torch.autograd.grad(expected, (x, weight), gradient)
    ours = torch.autograd.grad(found, (x, weight), gradient)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)
