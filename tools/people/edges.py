"""What the webcam's fine edges (`kseg.webcam.matting`) bring: scores at the images' own size, and their cost.

    python tools/people/edges.py --packed DIR

Val's images of Clothing Co-Parsing, whose outlines are known, 400 pixels high; a person is what is more than half
foreground, of the preset's probabilities enlarged, and of the alpha that the guided filter draws. The cost is processor
time of one thread on a frame of 480x640.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from data import load
from score import OUTLINES, PRESETS, outline
from slices import counts, mean_iou
from teacher import Reference, resized

from kseg.webcam.matting import Matting

FRAME = (480, 640)


def enlarged(probabilities: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """The foreground's share of every pixel of the frame, 0-255, by bilinear interpolation alone."""
    share = cv2.resize(1 - probabilities[..., 0], frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.round(255 * share).astype(np.uint8)


def people_of(samples: list) -> list[tuple[np.ndarray, np.ndarray]]:
    """RGB images and masks at their own size, of the source whose outlines are known."""
    return [one.inside() for one in samples if one.source == OUTLINES and one.count]


def scores(sees: Callable[[np.ndarray], np.ndarray], draw: Callable, pairs: list) -> tuple[float, float]:
    """Mean IoU and boundary F1, means over the images."""
    found = []
    for image, mask in pairs:
        person = draw(sees(image), np.ascontiguousarray(image[..., ::-1])) > 127
        edges = outline(person, mask)
        found.append((mean_iou(counts(person, mask)), edges[0] if edges else 0.0))
    return tuple(np.mean(found, 0))


def milliseconds(draw: Callable, image: np.ndarray, probabilities: np.ndarray, rounds: int) -> float:
    """Processor time on a frame of `FRAME`, the median."""
    frame, spent = cv2.resize(image, FRAME[::-1]), []
    for _ in range(rounds):
        started = time.process_time()
        draw(probabilities, frame)
        spent.append(1000 * (time.process_time() - started))
    return statistics.median(spent)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packed", required=True, type=Path, help="the folder of pack.py")
    parser.add_argument("--model", type=Path, default=PRESETS / "people_int8.tflite")
    parser.add_argument("--limit", type=int, help="of images, to try it")
    parser.add_argument("--rounds", type=int, default=100, help="timed (100)")
    args = parser.parse_args(argv)
    cv2.setNumThreads(1)
    network = Reference(args.model)

    def sees(image: np.ndarray) -> np.ndarray:
        logits = network(resized(image, network.size)).astype(np.float32)
        raised = np.exp(logits - logits.max(-1, keepdims=True))
        return raised / raised.sum(-1, keepdims=True)

    pairs = people_of(load(args.packed, args.limit, split="val"))
    image = pairs[0][0]
    print(f"| edges, {len(pairs)} images | mean IoU | boundary F1 | ms at 480x640 |\n|---|---|---|---|")
    for name, draw in (("enlarged", enlarged), ("guided filter", Matting())):
        iou, f1 = scores(sees, draw, pairs)
        spent = milliseconds(draw, image, sees(image), args.rounds)
        print(f"| {name} | {iou:.3f} | {f1:.3f} | {spent:.2f} |", flush=True)


if __name__ == "__main__":
    main()
