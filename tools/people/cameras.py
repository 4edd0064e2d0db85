"""Random numbers on the device, and what cameras do to images: light, blur, noise, compression."""

import numpy as np
import torch
import torch.nn.functional as F


class Draws:
    """Random numbers on the device."""

    def __init__(self, device: torch.device, seed: int) -> None:
        self.generator, self.device = torch.Generator(device=device), device
        self.generator.manual_seed(seed)

    def uniform(self, count: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        return torch.rand(count, generator=self.generator, device=self.device) * (high - low) + low

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator, device=self.device)

    def chance(self, count: int, share: float) -> torch.Tensor:
        return self.uniform(count) < share

    def choice(self, shares: torch.Tensor, count: int) -> torch.Tensor:
        return torch.multinomial(shares, count, replacement=True, generator=self.generator)

    def order(self, count: int) -> torch.Tensor:
        return torch.randperm(count, generator=self.generator, device=self.device)


def each(values: torch.Tensor, axes: int = 3) -> torch.Tensor:
    """One value an image, to be multiplied with (n, c, h, w) or, of two axes, (n, h, w)."""
    return values.view(-1, *[1] * axes)


def lit(images: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Another gamma, contrast, brightness, saturation, colour of light, and light from one side."""
    count, (height, width) = len(images), images.shape[2:]
    x = (images / 255).clamp(1e-3, 1) ** each(torch.exp(draws.uniform(count, -0.5, 0.5)))
    x = (x - 0.5) * each(draws.uniform(count, 0.7, 1.3)) + 0.5 + each(draws.uniform(count, -0.12, 0.12))
    grey, saturation = x.mean(1, keepdim=True), draws.uniform(count, 0.5, 1.4)
    saturation = torch.where(draws.chance(count, 0.06), 0.0, saturation)
    x = grey + (x - grey) * each(saturation)
    warm, tint = draws.normal(count) * 0.07, draws.normal(count) * 0.03
    x = x * torch.stack([1 + warm, 1 + tint, 1 - warm], 1).view(count, 3, 1, 1)
    angle = draws.uniform(count, 0, 2 * np.pi)
    strength = draws.uniform(count, 0, 0.45) * draws.chance(count, 0.5)
    down = torch.linspace(-1, 1, height, device=x.device).view(1, 1, height, 1)
    across = torch.linspace(-1, 1, width, device=x.device).view(1, 1, 1, width)
    slope = down * each(angle.cos()) + across * each(angle.sin())
    return (x * (1 + each(strength) * slope)).clamp(0, 1) * 255


def degraded(images: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Some images blurred, some of half resolution, some with noise, some compressed."""
    count, part = len(images), len(images) // 8
    order, step = draws.order(count), part // 2 + 1
    for number, sigma in enumerate((0.7, 1.2, 2.0)):
        some = order[number * step : (number + 1) * step]
        images[some] = blurred(images[some], sigma)
    order = draws.order(count)
    coarse, noisy = order[:part], order[part : 2 * part + 1]
    if part:
        small = F.interpolate(images[coarse], scale_factor=0.5, mode="area")
        images[coarse] = F.interpolate(small, size=images.shape[2:], mode="bilinear")
    strength = each(draws.uniform(len(noisy), 2, 14))
    images[noisy] = images[noisy] + draws.normal(*images[noisy].shape) * strength
    some = draws.order(count)[: max(count // 5, 1)]
    images[some] = compressed(images[some], torch.exp(draws.uniform(len(some), 0.7, 3.3)))
    return images.clamp(0, 255)


def blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """A Gaussian of nine taps along each axis."""
    taps = torch.exp(-(torch.arange(-4, 5, device=images.device).float() ** 2) / (2 * sigma**2))
    taps, channels = taps / taps.sum(), images.shape[1]
    for shape, pad in (((1, 1, 1, 9), (4, 4, 0, 0)), ((1, 1, 9, 1), (0, 0, 4, 4))):
        kernel = taps.view(shape).repeat(channels, 1, 1, 1)
        images = F.conv2d(F.pad(images, pad, mode="replicate"), kernel, groups=channels)
    return images


def compressed(images: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """JPEG's loss: cosine coefficients of 8x8 blocks rounded, coarser at high frequencies and in colour."""
    device, (count, _, height, width) = images.device, images.shape
    colours = torch.tensor(
        [[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]], device=device
    )
    k = torch.arange(8, device=device).float()
    cosines = torch.cos((2 * k[None] + 1) * k[:, None] * np.pi / 16) / 2
    cosines[0] /= 2**0.5
    x = torch.einsum("nchw,dc->ndhw", images - 128, colours)
    blocks = x.view(count, 3, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    step = (1 + (k[:, None] + k[None]) * 0.6) * steps.view(count, 1, 1, 1, 1, 1)
    step = step * torch.tensor([1.0, 1.7, 1.7], device=device).view(1, 3, 1, 1, 1, 1)
    blocks = torch.round(cosines @ blocks @ cosines.T / step) * step
    x = (cosines.T @ blocks @ cosines).permute(0, 1, 2, 4, 3, 5).reshape(count, 3, height, width)
    return torch.einsum("nchw,dc->ndhw", x, torch.linalg.inv(colours)) + 128
