"""kseg's pspnet_resnet50 with its second head, written in PyTorch, to measure against (tools/benchmark_pspnet.py)."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

MEAN = (103.939, 116.779, 123.68)  # of BGR


def conv(
    inputs: int, outputs: int, size: int, stride: int = 1, rate: int = 1, relu: bool = True
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inputs, outputs, size, stride, rate * (size // 2), rate, bias=False),
        nn.BatchNorm2d(outputs, eps=1.001e-5, momentum=0.05),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Block(nn.Module):
    """Bottleneck, with the stride in the first 1x1."""

    def __init__(self, inputs: int, filters: int, stride: int, rate: int, project: bool):
        super().__init__()
        self.path = nn.Sequential(
            conv(inputs, filters, 1, stride),
            conv(filters, filters, 3, rate=rate),
            conv(filters, 4 * filters, 1, relu=False),
        )
        self.shortcut = conv(inputs, 4 * filters, 1, stride, relu=False) if project else nn.Identity()

    def forward(self, x):
        return functional.relu(self.path(x) + self.shortcut(x), inplace=True)


def stage(inputs: int, filters: int, count: int, stride: int, rate: int) -> nn.Sequential:
    first = Block(inputs, filters, stride, rate, True)
    others = [Block(4 * filters, filters, 1, rate, False) for _ in range(count - 1)]
    return nn.Sequential(first, *others)


class PSPNet(nn.Module):
    """Image (B, 3, H, W), RGB 0-255, to the logits and in training those of the second head, both of its size."""

    def __init__(self, classes: int):
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1))
        self.stem = nn.Sequential(conv(3, 64, 3, 2), conv(64, 64, 3), conv(64, 128, 3))
        self.stage2 = stage(128, 64, 3, 1, 1)
        self.stage3 = stage(256, 128, 4, 2, 1)
        self.stage4 = stage(512, 256, 6, 1, 2)
        self.stage5 = stage(1024, 512, 3, 1, 4)
        self.bins = (1, 2, 3, 6)
        self.levels = nn.ModuleList(conv(2048, 512, 1) for _ in self.bins)
        self.head = self._scores(4096, 512, classes)
        self.auxiliary = self._scores(1024, 256, classes)

    def _scores(self, inputs: int, filters: int, classes: int) -> nn.Sequential:
        return nn.Sequential(conv(inputs, filters, 3), nn.Dropout(0.1), nn.Conv2d(filters, classes, 1))

    def forward(self, image):
        x = self.stem(image.flip(1) - self.mean)
        x = functional.max_pool2d(x, 3, 2, 1)
        middle = self.stage4(self.stage3(self.stage2(x)))
        x = self.stage5(middle)
        size = x.shape[2:]
        pooled = [
            level(functional.adaptive_avg_pool2d(x, bins))
            for bins, level in zip(self.bins, self.levels, strict=True)
        ]
        x = torch.cat([x, *(upsampled(y, size) for y in pooled)], 1)
        logits = upsampled(self.head(x), image.shape[2:])
        return logits, upsampled(self.auxiliary(middle), image.shape[2:]) if self.training else None


def upsampled(x, size):
    return functional.interpolate(x, size, mode="bilinear", align_corners=True)


def training_step(network: PSPNet, images: torch.Tensor, labels: torch.Tensor) -> Callable[[], float]:
    """A step of SGD on both losses."""
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4)

    def step() -> float:
        network.train()
        optimizer.zero_grad(set_to_none=True)
        losses = [functional.cross_entropy(logits, labels, ignore_index=255) for logits in network(images)]
        total = losses[0] + 0.4 * losses[1]
        total.backward()
        optimizer.step()
        return total.item()

    return step
