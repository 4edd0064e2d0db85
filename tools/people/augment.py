"""Batches for training, made on the device: windows, light, the faults of cameras, people before other backgrounds."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from cameras import Draws, blurred, degraded, each, lit
from data import IGNORED, MASK, SIDE, TEACHER, TrainingImages

# How a window is laid: over the whole image, about a person, anywhere, about a person's head and shoulders.
WHOLE, PERSON, ANYWHERE, PORTRAIT = 0, 1, 2, 3
LEAST = 0.03  # share of an image that is person from which on its outlines are asked for


@dataclass(frozen=True)
class Mix:
    """What a batch holds: shares of it, 0-1.

    Attributes:
        empty: images without people.
        unlabelled: images that only the teacher knows.
        pasted: people before the background of an image without people.
        whole: windows over the whole image, of those with people.
        portrait: windows about head and shoulders, of those with people.
    """

    empty: float = 0.2
    unlabelled: float = 0.08
    pasted: float = 0.2
    whole: float = 0.4
    portrait: float = 0.0


class Batches:
    """Draws batches.

    Args:
        data: the images.
        size: (height, width) of the batch, multiples of 8.
        count: images in a batch.
        mix: what it holds.
        seed: of the draws.
        outlines: gives the probability of person (h, w) of an RGB image (h, w, 3), such as `teacher.Selfie`; or None.
    """

    def __init__(
        self,
        data: TrainingImages,
        size: tuple[int, int],
        count: int,
        mix: Mix,
        seed: int,
        outlines: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.data, self.size, self.count, self.mix, self.outlines = data, size, count, mix, outlines
        self.draws = Draws(data.device, seed)

    def next(self) -> tuple[torch.Tensor, ...]:
        """Images (n, 3, h, w) 0-255, masks (n, h, w) of 0, 1, 255, teachers (n, h, w) 0-1, who taught (n,), outlines.

        Outlines (n, h, w) are the probability of person that `outlines` sees in an image, -1 where nobody was asked.
        """
        data, draws, mix = self.data, self.draws, self.mix
        empty, unlabelled, pasted = (int(self.count * s) for s in (mix.empty, mix.unlabelled, mix.pasted))
        people = self.count - empty - unlabelled
        chosen = [draws.choice(data.people, people), draws.choice(data.empty, empty)]
        if unlabelled:
            chosen.append(draws.choice(data.unlabelled, unlabelled))
        chosen = torch.cat(chosen)
        place = draws.uniform(self.count)
        about = torch.where(place < mix.whole, WHOLE, torch.where(place < 0.93, PERSON, ANYWHERE))
        about = torch.where(draws.chance(self.count, mix.portrait), PORTRAIT, about)
        with_people = torch.arange(self.count, device=data.device) < people
        kind = torch.where(with_people, about, torch.where(place < 0.4, WHOLE, ANYWHERE))
        images, masks, teachers = cut_out(data, chosen, kind, draws, self.size)
        taught = data.taught[chosen]
        if pasted:
            behind = draws.choice(data.empty, pasted)
            kind = torch.where(draws.chance(pasted, 0.4), WHOLE, ANYWHERE)
            backgrounds, _, _ = cut_out(data, behind, kind, draws, self.size)
            paste(images[:pasted], masks[:pasted], backgrounds, draws)
            taught[:pasted] = MASK
        outlines = self._outlines(images, masks, taught, pasted)
        return degraded(lit(images, draws), draws), masks, teachers, taught, outlines

    def _outlines(self, images, masks, taught, pasted: int) -> torch.Tensor:
        """Of the clean images with people and of those without a mask; those pasted have exact outlines already."""
        found = torch.full(masks.shape, -1.0, device=masks.device)
        if self.outlines is not None:
            asked = ((masks == 1).float().mean((1, 2)) > LEAST) | (taught == TEACHER)
            asked[:pasted] = False
            for number in asked.nonzero()[:, 0].tolist():
                seen = self.outlines(images[number].permute(1, 2, 0).cpu().numpy())
                found[number] = torch.from_numpy(cv2.resize(seen, masks.shape[:0:-1]))
        return found


def windows(data: TrainingImages, chosen: torch.Tensor, kind: torch.Tensor, draws: Draws) -> tuple:
    """Centres (x, y) and sides (width, height) of windows, in pixels of the images."""
    count, (height, width) = len(chosen), data.sizes[chosen].unbind(1)
    whole = (
        draws.uniform(count) * width,
        draws.uniform(count) * height,
        width * draws.uniform(count, 0.88, 1.0),
        height * draws.uniform(count, 0.88, 1.0),
    )
    least = torch.where(data.empty[chosen] > 0, 0.15, 0.35)  # walls, cloth and fur alone are no people
    zoom, aspect = least + (1 - least) * draws.uniform(count), torch.exp(draws.uniform(count, -0.3, 0.3))
    anywhere = (
        draws.uniform(count) * width,
        draws.uniform(count) * height,
        torch.minimum(width * zoom * aspect, width),
        torch.minimum(height * zoom / aspect, height),
    )
    which = (draws.uniform(count) * data.counts[chosen].clamp(min=1)).long()
    person = about_person(data.bodies[chosen, which], width, height, draws)
    portrait = about_head(data.bodies[chosen, 0], width, height, draws)
    ways = [torch.stack(way) for way in (whole, person, anywhere, portrait)]
    x, y, wide, high = torch.stack(ways)[kind, :, torch.arange(count, device=data.device)].unbind(1)
    x = torch.minimum(torch.maximum(x, wide / 2), width - wide / 2)
    y = torch.minimum(torch.maximum(y, high / 2), height - high / 2)
    return x, y, wide, high


def about_person(body: torch.Tensor, width: torch.Tensor, height: torch.Tensor, draws: Draws) -> tuple:
    """Windows of which the body fills 4-95 %, evenly on a logarithmic scale, or 25-100 %; they may cut it off."""
    count, (left, top, across, down, area) = len(body), body.unbind(1)
    share = torch.exp(draws.uniform(count, float(np.log(0.04)), float(np.log(0.95))))
    share = torch.where(draws.chance(count, 0.45), draws.uniform(count, 0.25, 1.0), share)
    aspect = torch.exp(draws.uniform(count, -0.5, 0.5)) * (width / height).sqrt()
    least = draws.uniform(count, 72, 110)
    wide = torch.minimum(torch.maximum((area / share * aspect).sqrt(), least), width)
    high = torch.minimum(torch.maximum((area / share / aspect).sqrt(), least), height)
    x = left + across / 2 + draws.uniform(count, -0.5, 0.5) * torch.maximum(across * 0.7, wide * 0.8)
    y = top + down / 2 + draws.uniform(count, -0.5, 0.5) * torch.maximum(down * 0.7, high * 0.8)
    upper = (high < down) & draws.chance(count, 0.6)
    return x, torch.where(upper, top + high * draws.uniform(count, 0.1, 0.6), y), wide, high


def about_head(body: torch.Tensor, width: torch.Tensor, height: torch.Tensor, draws: Draws) -> tuple:
    """Windows about the upper part of a body, as in front of a webcam."""
    count, (left, top, across, _, area) = len(body), body.unbind(1)
    side = (area / draws.uniform(count, 0.35, 0.9)).sqrt() * draws.uniform(count, 0.5, 1.0)
    side = side.clamp(min=80)
    wide = torch.minimum(side * draws.uniform(count, 0.75, 1.35), width)
    high = torch.minimum(side, height)
    x = left + across / 2 + draws.uniform(count, -0.25, 0.25) * wide
    return x, top + high * draws.uniform(count, 0.25, 0.6), wide, high


def cut_out(
    data: TrainingImages, chosen: torch.Tensor, kind: torch.Tensor, draws: Draws, size: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Windows of images, masks and teachers, mirrored and turned a little; what lies outside is ignored."""
    count, (height, width) = len(chosen), data.sizes[chosen].unbind(1)
    x, y, wide, high = windows(data, chosen, kind, draws)
    mirrored = torch.where(draws.chance(count, 0.5), -1.0, 1.0)
    angle = draws.normal(count).clamp(-2.5, 2.5) * 0.09 * draws.chance(count, 0.6)
    x, y = turned(x, y, wide * mirrored, high, angle, size)
    outside = (x < 0) | (y < 0) | (x > each(width, 2)) | (y > each(height, 2))
    way = {"padding_mode": "border", "align_corners": False}
    grid, whole = torch.stack([x * 2 / SIDE - 1, y * 2 / SIDE - 1], -1), data.images[chosen].float()
    images = F.grid_sample(whole, grid, **way)
    shrunk = wide * high > 2 * size[0] * size[1]  # more than bilinear interpolation takes in
    images[shrunk] = F.grid_sample(F.avg_pool2d(whole[shrunk], 2), grid[shrunk], **way)
    pixel = y.floor().long().clamp(0, SIDE - 1) * SIDE + x.floor().long().clamp(0, SIDE - 1)
    masks = data.masks[chosen].view(count, -1).gather(1, pixel.view(count, -1)).view(pixel.shape)
    grid = torch.stack([x * 2 / each(width, 2) - 1, y * 2 / each(height, 2) - 1], -1)
    teachers = F.grid_sample(data.teachers[chosen][:, None].float() / 255, grid, **way)[:, 0]
    return images, torch.where(outside, IGNORED, masks.int()).to(torch.uint8), teachers


def turned(x, y, wide, high, angle, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the pixels of windows lie in their images: x and y (n, height, width)."""
    down, across = torch.meshgrid(
        *((torch.arange(side, device=x.device) + 0.5) / side - 0.5 for side in size), indexing="ij"
    )
    right, under = across[None] * each(wide, 2), down[None] * each(high, 2)
    cos, sin = each(angle.cos(), 2), each(angle.sin(), 2)
    return each(x, 2) + right * cos - under * sin, each(y, 2) + right * sin + under * cos


def paste(images: torch.Tensor, masks: torch.Tensor, backgrounds: torch.Tensor, draws: Draws) -> None:
    """Put the people of images before other backgrounds, in place; the first half of them smaller."""
    count, half, ignored = len(images), len(images) // 2, masks == IGNORED
    alpha = blurred(((masks == 1).float() + 0.5 * ignored)[:, None], 1.0)
    if half:
        shrink_into(images, masks, alpha, draws, half)
    person = (masks == 1).float()[:, None]
    brightness = (images * person).sum((2, 3), keepdim=True).mean(1, keepdim=True)
    brightness = brightness / person.sum((2, 3), keepdim=True).clamp(min=1)
    gap = (brightness - backgrounds.mean((1, 2, 3), keepdim=True)) * each(draws.uniform(count, 0, 0.6))
    soft = each(draws.chance(count, 0.35))
    behind = (torch.where(soft, blurred(backgrounds, 2.0), backgrounds) + gap).clamp(0, 255)
    images.copy_(alpha * images + (1 - alpha) * behind)


def shrink_into(images, masks, alpha, draws: Draws, count: int) -> None:
    """Make the first people of a batch smaller and move them, in place."""
    scale = draws.uniform(count, 0.35, 0.9)
    theta = torch.zeros(count, 2, 3, device=images.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / scale
    for axis in (0, 1):
        theta[:, axis, 2] = draws.uniform(count, -1, 1) * (1 / scale - 1)
    grid = F.affine_grid(theta, (count, 1, *images.shape[2:]), align_corners=False)

    def moved(values: torch.Tensor, padding: str = "zeros") -> torch.Tensor:
        return F.grid_sample(values, grid, padding_mode=padding, align_corners=False)

    person, ignored = (moved((masks[:count] == value).float()[:, None])[:, 0] for value in (1, IGNORED))
    images[:count] = moved(images[:count], "border")
    alpha[:count] = moved(alpha[:count])
    masks[:count] = torch.where(ignored > 0.4, IGNORED, (person > 0.5).int()).to(masks.dtype)
