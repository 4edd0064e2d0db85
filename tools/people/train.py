"""Train the network of the preset `people` or `people_hd` on the packed images, in PyTorch.

    python tools/people/train.py --data DIR --network DIR/people --out DIR --name first --batch 160 --seconds 275
    python tools/people/train.py --cpu --data DIR --network DIR/mean --out DIR --name tuned --freeze-statistics \
        --portrait 0.3 --rate 3e-4 --batch 32 --seconds 1500 --evaluate-every 300

Writes OUT/NAME.npz, the moving average of the weights, and OUT/NAME.json, its scores on val; with --evaluate-every also
OUT/NAME.STEP.npz at each evaluation. On a processor it computes in bfloat16 with channels last.
"""

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
from augment import Batches, Mix
from data import BOTH, MASK, TrainingImages, load
from network import Network
from network import load as load_network
from objective import loss_of
from slices import by_slice, counts, mean_iou, portraits
from teacher import Selfie
from window_teachers import WindowTeachers


class MovingAverage:
    """The moving average of a network's weights and statistics, in a copy of it."""

    def __init__(self, network: Network, share: float) -> None:
        self.network, self.share, self.steps = copy.deepcopy(network).eval(), share, 0
        self.pairs = [
            (mine, theirs)
            for mine, theirs in zip(
                self.network.state_dict().values(), network.state_dict().values(), strict=True
            )
            if mine.is_floating_point()
        ]

    @torch.no_grad()
    def update(self) -> None:
        kept = min(self.share, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_([mine for mine, _ in self.pairs], [theirs for _, theirs in self.pairs], 1 - kept)
        self.steps += 1


class Validation:
    """The val images and windows about heads and shoulders, at side x side."""

    def __init__(self, samples: list, batch: int = 32, side: int = 256) -> None:
        pairs = [one.squeezed(side) for one in samples]
        self.images, self.masks = [p[0] for p in pairs], [p[1] for p in pairs]
        self.sources, self.batch = [one.source for one in samples], batch
        self.framed, self.framed_masks = portraits(samples, side)

    def scores(self, network: Network) -> dict:
        """`slices.by_slice`, `portraits`: mean IoU of the windows' mean, and `judged`, the number to choose by.

        That is the mean of the five slices, the worst of them and the portraits, less what is called person where
        nobody is.
        """
        found = by_slice(self._people(network, self.images), self.masks, self.sources)
        framed = zip(self._people(network, self.framed), self.framed_masks, strict=True)
        each = [mean_iou(counts(person, mask)) for person, mask in framed]
        found["portraits"] = round(float(np.mean(each)), 4) if each else None
        seen = [iou for iou in (*found["slices"], found["portraits"]) if iou is not None]
        found["judged"] = (
            round(float(np.mean([*seen, min(seen)])) - (found["empty_mean"] or 0.0), 4) if seen else None
        )
        return found

    @torch.no_grad()
    def _people(self, network: Network, images: list) -> list:
        device, found = next(network.parameters()).device, []
        for start in range(0, len(images), self.batch):
            batch = torch.from_numpy(np.stack(images[start : start + self.batch])).to(device)
            with torch.autocast(device.type, torch.bfloat16):
                logits = network(batch.permute(0, 3, 1, 2).float())
            found.extend((logits[:, 1] > logits[:, 0]).cpu().numpy())
        return found


def optimizer_of(network: Network, rate: float, backbone: float, decay: float) -> torch.optim.Optimizer:
    """AdamW with a lower rate for the backbone, and decay for kernels alone."""
    groups = []
    for own in (False, True):
        for kernels in (False, True):
            found = [
                weights
                for name, weights in network.named_parameters()
                if name.split(".")[1].startswith(("stem", "block")) is not own
                and (weights.ndim > 1) is kernels
            ]
            base = rate * (1 if own else backbone)
            groups.append(
                {"params": found, "base": base, "lr": base, "weight_decay": decay if kernels else 0.0}
            )
    return torch.optim.AdamW(groups, betas=(0.9, 0.99))


class Training:
    """One run: the network, its average, and the steps."""

    def __init__(self, args: argparse.Namespace, data: TrainingImages) -> None:
        self.args, torch_format = args, torch.contiguous_format if args.contiguous else torch.channels_last
        torch.manual_seed(args.seed)
        self.network = load_network(args.network).to(data.device, memory_format=torch_format).train()
        self.average = MovingAverage(self.network, args.average)
        self.optimizer = optimizer_of(self.network, args.rate, args.backbone_rate, args.decay)
        mix = Mix(empty=args.empty, pasted=args.pasted, portrait=args.portrait)
        outlines = Selfie(args.outlines) if args.outlines else None
        self.batches = Batches(data, tuple(args.size), args.batch, mix, args.seed, outlines)
        self.format = torch_format
        self.teachers = WindowTeachers(args.teachers, torch.get_num_threads()) if args.teachers else None
        if args.freeze_statistics:
            for module in self.network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):
                    module.eval()

    def step(self, factor: float) -> float:
        """One step at a factor of the learning rates; gives the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * factor
        with torch.no_grad():
            images, masks, teachers, taught, outlines = self.batches.next()
            images = images.contiguous(memory_format=self.format)
            if self.teachers is not None:
                teachers, taught = self.teachers(images), torch.where(taught == MASK, BOTH, taught)
        with torch.autocast(images.device.type, torch.bfloat16):
            logits = self.network(images)
        loss = loss_of(
            logits, masks, teachers, taught, outlines, self.args.teacher_weight, self.args.dice
        )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        self.average.update()
        return float(loss.detach())


def run(args: argparse.Namespace) -> dict:
    """Train and score; gives what NAME.json holds."""
    started, out = time.time(), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cpu" if args.cpu else "cuda")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    processes = os.cpu_count() or 1
    data = TrainingImages(load(args.data, args.limit, processes, "train"), device)
    samples = load(args.data, args.limit and args.limit // 4, processes, "val")
    validation = Validation(samples, side=max(args.size))
    print(
        f"{len(data.images)} images, {len(validation.images)} of val, {time.time() - started:.0f} s",
        flush=True,
    )
    training = Training(args, data)

    def scored(step: int) -> dict:
        found = {
            "step": step,
            "seconds": round(time.time() - started),
            **validation.scores(training.average.network),
        }
        print(json.dumps(found), flush=True)
        return found

    history = [scored(0)] if args.evaluate_every else []
    begun, step, done = time.time(), 0, 0.0
    while done < 1:
        factor = min(1, (step + 1) / args.warm) * max(0.5 * (1 + math.cos(math.pi * done)), 0.002)
        loss = training.step(factor)
        if not math.isfinite(loss):
            raise SystemExit(f"The loss of step {step} is {loss}")
        step, spent = step + 1, time.time() - begun
        done = max(spent / args.seconds, step / args.steps if args.steps else 0)
        if step in (5, 20) or step % 100 == 0:
            print(f"step {step}: loss {loss:.4f}, {step * args.batch / spent:.1f} images/s", flush=True)
        if args.evaluate_every and step % args.evaluate_every == 0 and done < 0.97:
            history.append(scored(step))
            write(training.average.network, out / f"{args.name}.{step}.npz")
    result = {
        "settings": vars(args),
        "steps": step,
        "seconds": round(time.time() - begun, 1),
        "history": history,
    }
    result["scores"] = scored(step)
    write(training.average.network, out / f"{args.name}.npz")
    (out / f"{args.name}.json").write_text(json.dumps(result, indent=2, default=str) + "\n", encoding="utf-8")
    return result


def write(network: Network, path: Path) -> None:
    """Keras's arrays, whole or not at all, and beside them the layers, for `network.load`."""
    path.with_suffix(".graph.json").write_text(json.dumps(network.layers), encoding="utf-8")
    part = path.with_name(f".{path.name}.part.npz")
    np.savez(part, **network.arrays())
    os.replace(part, path)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data", required=True, help="the folder of pack.py")
    made.add_argument("--network", required=True, help="its .graph.json and .npz, without the ending")
    made.add_argument("--out", required=True, help="the folder for the weights")
    made.add_argument("--name", default="people", help="of the files (people)")
    made.add_argument("--cpu", action="store_true", help="without a GPU")
    made.add_argument(
        "--seconds", type=float, default=300, help="of training; the schedule ends with them (300)"
    )
    made.add_argument("--steps", type=int, help="at most")
    made.add_argument("--batch", type=int, default=160)
    made.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("H", "W"))
    made.add_argument("--rate", type=float, default=1.8e-3, help="learning rate of the head")
    made.add_argument("--backbone-rate", type=float, default=0.5, help="of it for the backbone")
    made.add_argument("--decay", type=float, default=0.02)
    made.add_argument("--warm", type=int, default=150, help="steps until the whole rate")
    made.add_argument("--average", type=float, default=0.998, help="share kept by the moving average")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--teacher-weight", type=float, default=0.35)
    made.add_argument(
        "--teachers",
        nargs="+",
        metavar="FILE",
        help=".tflite files of presets, which teach every window in place of the packed teachers",
    )
    made.add_argument("--dice", type=float, default=0.5)
    made.add_argument("--portrait", type=float, default=0.0, help="share of windows about head and shoulders")
    made.add_argument("--empty", type=float, default=0.2, help="share of images without people")
    made.add_argument("--pasted", type=float, default=0.2, help="share of people before other backgrounds")
    made.add_argument(
        "--outlines",
        type=Path,
        metavar="DIR",
        help="the folder of selfie_segmentation.tflite, whose outlines are learnt",
    )
    made.add_argument("--freeze-statistics", action="store_true", help="of batch normalisation")
    made.add_argument("--contiguous", action="store_true", help="channels first in memory, faster on an H200")
    made.add_argument("--evaluate-every", type=int, help="steps; the average is scored and kept")
    made.add_argument("--limit", type=int, help="of images, to try it")
    return made


if __name__ == "__main__":
    run(parser().parse_args())
