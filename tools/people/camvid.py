"""Go on with the network of the preset `camvid` on the packed images, in PyTorch.

    python tools/people/camvid.py --data DIR --network DIR/start --out DIR --name first --seconds 108

Half of the windows lie about a pixel of a class that is drawn evenly; rare classes weigh more. Writes OUT/NAME.npz, the
moving average of the weights, and OUT/NAME.json, its scores on val.
"""

import argparse
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from augment import turned
from cameras import Draws, blurred, lit
from network import Network
from network import load as load_network
from train import MovingAverage, optimizer_of, write

CLASSES, VOID = 11, 11
POINTS = 16  # of each class in each image, about which windows lie


def load(folder: Path, splits: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images (n, height, width, 3), RGB, and masks (n, height, width) of some splits."""
    index = json.loads((folder / "camvid.json").read_text(encoding="utf-8"))
    content, images, masks = np.fromfile(folder / "camvid.bin", np.uint8), [], []
    for of_split, _, offset, image, mask in index:
        if of_split in splits:
            images.append(cv2.imdecode(content[offset : offset + image], cv2.IMREAD_COLOR)[:, :, ::-1])
            start = offset + image
            masks.append(cv2.imdecode(content[start : start + mask], cv2.IMREAD_GRAYSCALE))
    return np.stack(images), np.stack(masks)


def class_weights(masks: np.ndarray) -> np.ndarray:
    """(median frequency / frequency) to the power 0.35, between 0.5 and 2.5 about their mean."""
    counts = np.maximum(np.bincount(masks.ravel(), minlength=VOID + 1)[:CLASSES], 1)
    weights = (np.median(counts) / counts) ** 0.35
    return np.clip(weights / weights.mean(), 0.5, 2.5).astype(np.float32)


def points_of(masks: np.ndarray, seed: int = 0) -> np.ndarray:
    """float32 (n, CLASSES, POINTS, 2): x and y of pixels of each class, -1 where an image has too few."""
    rng, points = np.random.default_rng(seed), np.full((len(masks), CLASSES, POINTS, 2), -1, np.float32)
    for number, mask in enumerate(masks):
        for label in range(CLASSES):
            y, x = np.nonzero(mask[::2, ::2] == label)
            if len(y) > 20:
                chosen = rng.integers(0, len(y), POINTS)
                points[number, label] = 2 * np.stack([x[chosen], y[chosen]], -1)
    return points


class Windows:
    """Draws batches of windows.

    Args:
        images: uint8 (n, height, width, 3).
        masks: (n, height, width).
        size: (height, width) of a window.
        count: windows in a batch.
        device: where all of them lie.
        seed: of the draws.
    """

    def __init__(
        self, images, masks, size: tuple[int, int], count: int, device: torch.device, seed: int
    ) -> None:
        self.images = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).contiguous()
        self.masks, self.points = (
            torch.from_numpy(masks).to(device),
            torch.from_numpy(points_of(masks)).to(device),
        )
        self.size, self.count, self.draws = size, count, Draws(device, seed)

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (n, 3, h, w) 0-255 and labels (n, h, w), int64, -100 where there is none."""
        draws, count = self.draws, self.count
        chosen = (draws.uniform(count) * len(self.images)).long()
        images, masks = self._cut_out(chosen)
        images, some = lit(images, draws), draws.order(count)[: max(count // 6, 1)]
        images[some] = blurred(images[some], 1.0)
        return images, torch.where(masks < CLASSES, masks.long(), -100)

    def _cut_out(self, chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Windows of 0.55 to 2.1 times the scale, a little stretched, turned and mirrored; void lies outside."""
        draws, count, (height, width) = self.draws, self.count, self.images.shape[2:]
        scale = torch.exp(draws.uniform(count, math.log(0.55), math.log(2.1)))
        aspect = torch.exp(draws.uniform(count, -0.15, 0.15)).sqrt()
        wide = (self.size[1] / scale * aspect).clamp(max=width * 1.25)
        high = (self.size[0] / scale / aspect).clamp(max=height * 1.25)
        label = (draws.uniform(count) * CLASSES).long()
        point = self.points[chosen, label, (draws.uniform(count) * POINTS).long()]
        about = (point[:, 0] >= 0) & draws.chance(count, 0.5)
        x, y = (
            torch.where(
                about,
                point[:, axis] + draws.uniform(count, -0.35, 0.35) * side,
                draws.uniform(count) * whole,
            )
            for axis, side, whole in ((0, wide, width), (1, high, height))
        )
        x, y = inside(x, wide, width), inside(y, high, height)
        mirrored = torch.where(draws.chance(count, 0.5), -1.0, 1.0)
        angle = draws.normal(count).clamp(-2, 2) * 0.035
        x, y = turned(x, y, wide * mirrored, high, angle, self.size)
        grid = torch.stack([x * 2 / width - 1, y * 2 / height - 1], -1)
        way = {"padding_mode": "border", "align_corners": False}
        images = F.grid_sample(self.images[chosen].float(), grid, **way)
        pixel = y.floor().long().clamp(0, height - 1) * width + x.floor().long().clamp(0, width - 1)
        masks = self.masks[chosen].view(count, -1).gather(1, pixel.view(count, -1)).view(pixel.shape)
        return images, torch.where((x < 0) | (y < 0) | (x > width) | (y > height), VOID, masks.int())


def inside(centre: torch.Tensor, side: torch.Tensor, whole: int) -> torch.Tensor:
    """Centres of windows that stay inside the image; those larger than it lie in its middle."""
    held = torch.minimum(torch.maximum(centre, side / 2), whole - side / 2)
    return torch.where(side < whole, held, whole / 2)


@torch.no_grad()
def scores(network: Network, images: np.ndarray, masks: np.ndarray, batch: int = 8) -> dict:
    """Mean IoU and the classes' of all pixels but void."""
    device, counts = next(network.parameters()).device, np.zeros((CLASSES, CLASSES))
    for start in range(0, len(images), batch):
        part = torch.from_numpy(images[start : start + batch]).to(device).permute(0, 3, 1, 2).float()
        with torch.autocast(device.type, torch.bfloat16):
            labels = network(part).argmax(1).cpu().numpy()
        truth = masks[start : start + batch]
        known = truth < CLASSES
        pairs = truth[known].astype(int) * CLASSES + labels[known]
        counts += np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)
    right = counts.diagonal()
    iou = right / np.maximum(counts.sum(0) + counts.sum(1) - right, 1)
    return {"mean_iou": round(float(iou.mean()), 4), "class_iou": [round(float(one), 4) for one in iou]}


def run(args: argparse.Namespace) -> dict:
    """Train and score; gives what NAME.json holds."""
    device, out = torch.device("cpu" if args.cpu else "cuda"), Path(args.out)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(args.seed)
    images, masks = load(Path(args.data), args.splits)
    val = load(Path(args.data), ["val"])
    weights = torch.from_numpy(class_weights(masks)).to(device)
    windows = Windows(images, masks, tuple(args.size), args.batch, device, args.seed)
    network = load_network(args.network).to(device, memory_format=torch.channels_last).train()
    average, optimizer = (
        MovingAverage(network, args.average),
        optimizer_of(network, args.rate, 0.5, args.decay),
    )
    begun, step, done = time.time(), 0, 0.0
    while done < 1:
        factor = min(1, (step + 1) / 50) * max(0.5 * (1 + math.cos(math.pi * done)), 0.002)
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * factor
        with torch.no_grad():
            batch, labels = windows.next()
        with torch.autocast(device.type, torch.bfloat16):
            logits = network(batch.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels, weight=weights, ignore_index=-100)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        average.update()
        step, spent = step + 1, time.time() - begun
        done = max(spent / args.seconds, step / args.steps if args.steps else 0)
        if step in (5, 20) or step % 100 == 0:
            print(f"step {step}: loss {float(loss.detach()):.4f}, {spent:.0f} s", flush=True)
    result = {"settings": vars(args), "steps": step, "seconds": round(time.time() - begun, 1)}
    result["scores"] = scores(average.network, *val)
    print(json.dumps(result["scores"]), flush=True)
    (out / f"{args.name}.json").write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
    write(average.network, out / f"{args.name}.npz")
    return result


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", required=True, help="the folder of pack.py")
    made.add_argument("--network", required=True, help="its .graph.json and .npz, without the ending")
    made.add_argument("--out", required=True, help="the folder for the weights")
    made.add_argument("--name", default="tuned", help="of the files (tuned)")
    made.add_argument("--cpu", action="store_true", help="without a GPU")
    made.add_argument(
        "--seconds", type=float, default=108, help="of training; the schedule ends with them (108)"
    )
    made.add_argument("--steps", type=int, help="at most")
    made.add_argument(
        "--splits",
        nargs="+",
        choices=["train", "val"],
        default=["train"],
        help="to train on (train); val's scores say nothing once it is among them",
    )
    made.add_argument("--batch", type=int, default=24)
    made.add_argument("--size", type=int, nargs=2, default=(288, 384), metavar=("H", "W"))
    made.add_argument(
        "--rate", type=float, default=1e-3, help="learning rate of the head; half for the backbone"
    )
    made.add_argument("--decay", type=float, default=0.03)
    made.add_argument("--average", type=float, default=0.995, help="share kept by the moving average")
    made.add_argument("--seed", type=int, default=0)
    return made


if __name__ == "__main__":
    run(parser().parse_args())
