"""Score networks that see people, side by side in one run: slices, outlines, flicker, false alarms, time.

    python tools/people/score.py --packed DIR --references ../shared/reference_models
    python tools/people/score.py --packed DIR --models mine_int8.tflite --json scores.json

Beside the presets `people`, `people_hd` and `people_portrait` in int8 (or --models) stand MediaPipe Selfie and
DeepLabv3 513. All see val's packed images (pack.py), each at the size that it takes, and are scored at 256x256.
Windows about head and shoulders, pasted people and still scenes are made at 256x256: a larger network sees those
enlarged.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from data import load
from pasted import pasted
from slices import IGNORED, NAMES, by_slice, counts, mean_iou, portraits
from teacher import SIDE, DeepLab, Reference, Selfie, resized, soft

PRESETS = Path(__file__).resolve().parents[2] / "kseg" / "models" / "presets"
OUTLINES = "ccp_people"  # the source whose outlines are exact
NEAR = 2  # pixels of 256
SHOWN = 640  # the longer side of a webcam's image
NOISE, FLICKER_EVERY = 4.0, 12  # of 255; every how many images a still scene is made of


class Preset(Reference):
    """A .tflite file of two classes."""

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Whether a pixel is a person, (256, 256), of an RGB image of any size."""
        scores = super().__call__(resized(image, self.size)).astype(np.float32)
        return resized(scores[..., 1] - scores[..., 0], (SIDE, SIDE)) > 0


def rivals(references: Path) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Networks of others, from an image to whether a pixel is a person."""
    selfie, deeplab = Selfie(references), DeepLab(references)
    return {
        "MediaPipe Selfie": lambda image: selfie(image) > 0.5,
        "DeepLabv3 513 int8": lambda image: soft(deeplab(image)) > 0.5,
    }


def outline(person: np.ndarray, mask: np.ndarray) -> tuple[float, float] | None:
    """Boundary F1 within `NEAR` pixels, and the mean distance between the outlines in pixels, both ways."""
    kernel, known = np.ones((3, 3)), mask != IGNORED
    edges = [
        (cv2.morphologyEx(one.astype(np.uint8), cv2.MORPH_GRADIENT, kernel) > 0) & known
        for one in (person, mask == 1)
    ]
    if not all(one.any() for one in edges):
        return None
    far = [cv2.distanceTransform((~one).astype(np.uint8), cv2.DIST_L2, 5) for one in edges]
    precision, recall = (far[1][edges[0]] <= NEAR).mean(), (far[0][edges[1]] <= NEAR).mean()
    distance = (far[1][edges[0]].mean() + far[0][edges[1]].mean()) / 2
    return float(2 * precision * recall / max(precision + recall, 1e-9)), float(distance)


def flicker(sees: Callable[[np.ndarray], np.ndarray], images: list[np.ndarray], seed: int = 0) -> float:
    """The share of pixels that change between two frames of a still scene with a camera's noise."""
    rng, changed = np.random.default_rng(seed), []
    for image in images:
        frames = [
            sees(np.clip(image + rng.normal(0, NOISE, image.shape), 0, 255).astype(np.uint8))
            for _ in range(3)
        ]
        changed += [(a != b).mean() for a, b in pairwise(frames)]
    return float(np.mean(changed))


def scores(sees: Callable[[np.ndarray], np.ndarray], samples: list) -> dict:
    """All scores of one network on val's samples (`data.Sample`)."""
    pairs = [one.squeezed(SIDE) for one in samples]
    people = [sees(one.inside()[0]) for one in samples]
    found = by_slice(people, [mask for _, mask in pairs], [one.source for one in samples])
    edges = [
        outline(person, mask)
        for person, (_, mask), sample in zip(people, pairs, samples, strict=True)
        if sample.source == OUTLINES
    ]
    edges = np.array([one for one in edges if one]).reshape(-1, 2)

    def mean_over(images: list[np.ndarray], masks: list[np.ndarray]) -> float | None:
        each = [mean_iou(counts(sees(image), mask)) for image, mask in zip(images, masks, strict=True)]
        return float(np.mean(each)) if each else None

    return {
        **found,
        "portraits": mean_over(*portraits(samples, SIDE)),
        "pasted": mean_over(*pasted(samples, SIDE)),
        "boundary_f1": float(edges[:, 0].mean()) if len(edges) else None,
        "contour_pixels": float(edges[:, 1].mean() * SHOWN / SIDE) if len(edges) else None,
        "flicker": flicker(sees, [image for image, _ in pairs[::FLICKER_EVERY]]),
    }


def milliseconds(networks: dict[str, Callable], image: np.ndarray, rounds: int) -> dict[str, float]:
    """Processor time of one image, one thread, median; the networks take turns."""
    spent = {name: [] for name in networks}
    for number in range(rounds + 1):
        for name, sees in networks.items():
            started = time.process_time()
            sees(image)
            if number:  # the first warms up
                spent[name].append(1000 * (time.process_time() - started))
    return {name: statistics.median(times) for name, times in spent.items()}


def table(found: dict[str, dict]) -> str:
    """Markdown: a row a network."""
    images = next(iter(found.values()))["images"]
    heads = [f"{name} ({count})" for name, count in zip(NAMES, images, strict=True)]
    heads += ["by image", "portraits", "pasted", "boundary F1", "contour px", "flicker", "empty", "ms"]
    lines = ["| " + " | ".join(["", *heads]) + " |", "|---" * (len(heads) + 1) + "|"]
    for name, one in found.items():
        cells = [*one["slices"], one["mean_by_image"], one["portraits"], one["pasted"], one["boundary_f1"]]
        cells = ["-" if value is None else f"{value:.3f}" for value in cells]
        cells.append("-" if one["contour_pixels"] is None else f"{one['contour_pixels']:.1f}")
        cells += [f"{one['flicker']:.2%}", "-" if one["empty_mean"] is None else f"{one['empty_mean']:.2%}"]
        lines.append("| " + " | ".join([name, *cells, f"{one['milliseconds']:.1f}"]) + " |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packed", required=True, type=Path, help="the folder of pack.py")
    parser.add_argument("--references", type=Path, help="the folder of the other networks")
    presets = [PRESETS / f"{name}_int8.tflite" for name in ("people", "people_hd", "people_portrait")]
    parser.add_argument(
        "--models", nargs="*", type=Path, default=presets, help="int8 files of two classes"
    )
    parser.add_argument("--limit", type=int, help="of images, to try it")
    parser.add_argument("--rounds", type=int, default=30, help="timed (30)")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args(argv)
    stems = [path.stem for path in args.models]
    names = [path.stem if stems.count(path.stem) == 1 else str(path) for path in args.models]
    networks = dict(zip(names, map(Preset, args.models), strict=True))
    if args.references:
        networks |= rivals(args.references)
    samples, found = load(args.packed, args.limit, split="val"), {}
    for name, sees in networks.items():
        found[name] = scores(sees, samples)
        print(f"{name}: {found[name]['slices']}", flush=True)
    for name, spent in milliseconds(networks, samples[0].squeezed(SIDE)[0], args.rounds).items():
        found[name]["milliseconds"] = spent
    print(table(found))
    if args.json:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
