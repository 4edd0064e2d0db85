"""Score networks that see people on a 16:9 camera's frames: the square form of `people` beside the landscape one.

    kseg export --model people --out DIR/people_landscape.tflite --size 144 256 --precision int8 \
        --data people --root ../shared/data
    python tools/people/landscape.py --packed DIR --models kseg/models/presets/people_int8.tflite \
        DIR/people_landscape.tflite --references ../shared/reference_models

Val's images come as two kinds of frame: cut to 16:9 about the person, or whole between black bars. Scores are those of
the frame's own size.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from data import Sample, load
from slices import NAMES, by_slice
from teacher import Reference, Selfie, resized

SHAPE = (9, 16)


def cropped(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask of the largest 16:9 window, about the person or, where nobody is, about the middle."""
    image, mask = sample.inside()
    height, width = mask.shape
    unit = min(height / SHAPE[0], width / SHAPE[1])
    high, wide = (int(unit * length) for length in SHAPE)
    person = np.argwhere(mask == 1)
    y, x = person.mean(0) if len(person) else (height / 2, width / 2)
    top, left = int(np.clip(y - high / 2, 0, height - high)), int(np.clip(x - wide / 2, 0, width - wide))
    window = np.s_[top : top + high, left : left + wide]
    return image[window], mask[window]


def between_bars(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """The whole image in the middle of a black 16:9 frame; bars are background."""
    image, mask = sample.inside()
    height, width = mask.shape
    unit = max(height / SHAPE[0], width / SHAPE[1])
    missing = [max(0, round(unit * long) - length) for long, length in zip(SHAPE, mask.shape, strict=True)]
    sides = [(one // 2, one - one // 2) for one in missing]
    return np.pad(image, [*sides, (0, 0)]), np.pad(mask, sides)


def sees(network: Reference, image: np.ndarray) -> np.ndarray:
    """Whether a pixel of the image is a person, by a file of two classes or by MediaPipe Selfie."""
    if isinstance(network, Selfie):
        return resized(network(image), image.shape[:2]) > 0.5
    scores = network(resized(image, network.size)).astype(np.float32)
    return resized(scores[..., 1] - scores[..., 0], image.shape[:2]) > 0


def row(network: Reference, samples: list[Sample], framed: Callable) -> str:
    """The cells of a network on one kind of frame."""
    frames = [framed(one) for one in samples]
    people = [sees(network, image) for image, _ in frames]
    found = by_slice(people, [mask for _, mask in frames], [one.source for one in samples])
    scores = [*found["slices"], found["mean_by_image"]]
    cells = ["-" if one is None else f"{one:.3f}" for one in scores]
    cells.append("-" if found["empty_mean"] is None else f"{found['empty_mean']:.1%}")
    return " | ".join(cells)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packed", required=True, type=Path, help="the folder of pack.py")
    parser.add_argument("--models", required=True, nargs="+", type=Path, help=".tflite files of two classes")
    parser.add_argument("--references", type=Path, help="the folder of MediaPipe Selfie's file")
    parser.add_argument("--limit", type=int, help="of images, to try it")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    networks = {path.stem: Reference(path) for path in args.models}
    if args.references:
        networks["MediaPipe Selfie"] = Selfie(args.references)
    samples = load(args.packed, args.limit, split="val")
    print("| | " + " | ".join([*NAMES, "by image", "empty"]) + " |\n" + "|---" * 8 + "|")
    for kind, framed in (("crops", cropped), ("bars", between_bars)):
        for name, network in networks.items():
            high, wide = network.size
            print(f"| {kind}, {name}, {high}x{wide} | {row(network, samples, framed)} |", flush=True)


if __name__ == "__main__":
    main()
