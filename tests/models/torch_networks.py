"""Networks as PyTorch programs define them, told in few words: what the parity tests compare kseg with.

Modules are named as in torchvision; `load` copies a kseg model's weights into one by a list of pairs.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(2)


def conv_bn(i, o, size=1, stride=1, rate=1, groups=1, epsilon=1e-5):
    """Convolution without bias, normalisation; padded so that the map keeps its size at stride 1."""
    pad = rate * (size // 2)
    return nn.Sequential(
        nn.Conv2d(i, o, size, stride, pad, rate, groups, bias=False), nn.BatchNorm2d(o, eps=epsilon)
    )


class Block(nn.Module):
    """torchvision's Bottleneck and BasicBlock, with mmsegmentation's average shortcut."""

    def __init__(self, i, width, stride, rate, basic, average, second_rate, epsilon):
        super().__init__()
        out = width if basic else 4 * width
        if basic:
            self.body = nn.ModuleList(
                [
                    conv_bn(i, width, 3, stride, rate, epsilon=epsilon),
                    conv_bn(width, width, 3, 1, second_rate, epsilon=epsilon),
                ]
            )
        else:
            self.body = nn.ModuleList(
                [
                    conv_bn(i, width, epsilon=epsilon),
                    conv_bn(width, width, 3, stride, rate, epsilon=epsilon),
                    conv_bn(width, out, epsilon=epsilon),
                ]
            )
        self.downsample = None
        if stride > 1 or i != out:
            pool = [nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False)] if average else []
            own = conv_bn(i, out, 1, 1 if average else stride, epsilon=epsilon)
            self.downsample = nn.Sequential(*pool, own)

    def forward(self, x):
        y = x
        for number, part in enumerate(self.body):
            y = part(y)
            if number < len(self.body) - 1:
                y = F.relu(y)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class TorchResNet(nn.Module):
    """torchvision's ResNet; `previous` is its `dilate` rule, else every block has the stage's rate.

    Args:
        blocks: of the four stages.
        width: of the first stage.
        stem: None (7x7) or the three widths of the deep stem.
        output_stride: 8, 16 or 32.
        grid: factors on the rates of the last stage.
    """

    def __init__(
        self, blocks, width, *, stem=None, output_stride=8, previous=True, grid=None, basic=False,
        average=False, second="both", ceil=False, epsilon=1e-5,
    ):  # fmt: skip
        super().__init__()
        if stem is None:
            stem = (width,)
            self.stem = nn.Sequential(conv_bn(3, width, 7, 2, epsilon=epsilon), nn.ReLU())
        else:
            parts = []
            for i, o, stride in zip((3, *stem), stem, (2, 1, 1), strict=False):
                parts += [conv_bn(i, o, 3, stride, epsilon=epsilon), nn.ReLU()]
            self.stem = nn.Sequential(*parts)
        self.pool = nn.MaxPool2d(3, 2, 1, ceil_mode=ceil)
        i, stride, rate, self.stages = stem[-1], 4, 1, nn.ModuleList()
        for stage, count in enumerate(blocks):
            step, before, own = 1, rate, width * 2**stage
            if stage > 0:
                if stride < output_stride:
                    step, stride = 2, stride * 2
                else:
                    rate *= 2
            layer = []
            for block in range(count):
                here = before if previous and block == 0 else rate
                if grid is not None and stage == 3:
                    here = rate * grid[block]
                after = here if second == "both" else 1
                layer.append(Block(i, own, step if block == 0 else 1, here, basic, average, after, epsilon))
                i = own if basic else 4 * own
            self.stages.append(nn.Sequential(*layer))

    def forward(self, x):
        """The four stages' features."""
        found, x = [], self.pool(self.stem(x))
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found

    def pairs(self):
        """(name of kseg's convolution without `_conv`, Sequential of convolution and normalisation)."""
        stem = [part for part in self.stem if isinstance(part, nn.Sequential)]
        names = ["conv1"] if len(stem) == 1 else [f"conv1_{n}" for n in (1, 2, 3)]
        yield from zip(names, stem, strict=True)
        for stage, layer in enumerate(self.stages, start=2):
            for number, block in enumerate(layer, start=1):
                name = f"conv{stage}_block{number}"
                if block.downsample is not None:
                    yield f"{name}_0", block.downsample[-1]
                for n, part in enumerate(block.body, start=1):
                    yield f"{name}_{n}", part


def randomise(model, seed=0):
    """Every variable of a kseg model drawn anew, statistics too: identities hide swapped arrays."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        tail = variable.path.rsplit("/", 1)[-1]
        if tail in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.6, 1.4, variable.shape))
        elif tail == "kernel" and len(variable.shape) == 4:
            taps = np.prod(variable.shape[:2]) if variable.shape[3] == 1 else np.prod(variable.shape[:3])
            variable.assign(rng.normal(0, (1.6 / taps) ** 0.5, variable.shape))
        elif variable.dtype.startswith("float"):
            variable.assign(rng.normal(0, 0.2, variable.shape))


def array(variable):
    return torch.from_numpy(np.array(variable))


@torch.no_grad()
def load_conv(module, layer):
    """A convolution of kseg into PyTorch's, depthwise or not."""
    axes = (2, 3, 0, 1) if layer.__class__.__name__ == "DepthwiseConv2D" else (3, 2, 0, 1)
    module.weight.copy_(array(layer.weights[0]).permute(axes))
    if module.bias is not None:
        module.bias.copy_(array(layer.bias))


@torch.no_grad()
def load_bn(module, layer):
    module.weight.copy_(array(layer.gamma))
    module.bias.copy_(array(layer.beta))
    module.running_mean.copy_(array(layer.moving_mean))
    module.running_var.copy_(array(layer.moving_variance))


def load_pairs(pairs, find, conv="{}_conv", bn="{}_bn"):
    for name, part in pairs:
        load_conv(part[0], find(conv.format(name)))
        load_bn(part[1], find(bn.format(name)))


def normalised(image, mean, std):
    """RGB images of 0-255 (batch, height, width, 3) as PyTorch's input."""
    x = (np.asarray(image, "float64") - mean) / std
    return torch.from_numpy(x.astype("float32").transpose(0, 3, 1, 2))


def assert_close(found, expected, factor=1e-4):
    """Keras's map against PyTorch's, by the deviation of the latter."""
    expected = expected.detach().numpy().transpose(0, 2, 3, 1)
    assert found.shape == expected.shape, (found.shape, expected.shape)
    assert expected.std() > 0
    np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=factor * expected.std())
