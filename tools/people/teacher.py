"""What two networks of others see: MediaPipe Selfie's edges where DeepLabv3 sees a person.

    python tools/people/teacher.py --data ../shared/data --references ../shared/reference_models --out DIR

Writes DIR/teachers.npz: for each image that may hold people, uint8 (256, 256), 255 times the probability of person.
"""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from listing import listing

SIDE = 256
PERSON = 15  # of PASCAL VOC
NEAR = 0.06  # of the longer side: how far from DeepLab's person Selfie's is believed


class Reference:
    """A .tflite file in a bare LiteRT interpreter: an array in, an array out, without the batch."""

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(str(path), num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]
        self.size = tuple(int(length) for length in self.input["shape"][1:3])

    def __call__(self, image: np.ndarray) -> np.ndarray:
        self.interpreter.set_tensor(self.input["index"], image[None].astype(self.input["dtype"]))
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.output["index"])[0]


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The image or map squeezed to (height, width)."""
    shrinks = any(new < old for new, old in zip(size, image.shape[:2], strict=True))
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


class Selfie(Reference):
    """MediaPipe Selfie Segmentation: exact edges, but it calls any salient object a person."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "selfie_segmentation.tflite")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Probability of person (256, 256) of an RGB image of any size."""
        return super().__call__(resized(image, self.size).astype(np.float32) / 255)[..., 0]


class DeepLab(Reference):
    """DeepLabv3 MobileNetV2 at 513x513 on VOC's classes: it knows what a person is, coarsely."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "deeplabv3_mnv2_pascal_quant.tflite")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Whether a pixel is a person, 0 or 1, float32 (513, 513), of an RGB image of any size."""
        return (super().__call__(resized(image, self.size)) == PERSON).astype(np.float32)


def soft(person: np.ndarray) -> np.ndarray:
    """DeepLab's person with soft edges, (256, 256)."""
    return resized(cv2.GaussianBlur(person, (0, 0), 4), (SIDE, SIDE))


def both(selfie: np.ndarray, person: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The mean of both probabilities near DeepLab's person, else 0; `size` is the image's (height, width)."""
    reach = NEAR * max(size)
    across, down = (max(1, int(reach * SIDE / side)) for side in (size[1], size[0]))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * across + 1, 2 * down + 1))
    near = cv2.dilate((resized(person, (SIDE, SIDE)) > 0.1).astype(np.uint8), kernel)
    return near * (selfie + soft(person)) / 2


def write(data: Path, references: Path, out: Path, limit: int | None = None) -> None:
    """Run both networks over every image that has people in its mask, or no mask."""
    cv2.setNumThreads(1)
    selfie, deeplab, found = Selfie(references), DeepLab(references), {}
    entries = listing(data, limit)
    for number, entry in enumerate(entries):
        mask = entry.read_mask()
        if mask is not None and not (mask == 1).any():
            continue
        image = cv2.imread(str(entry.image))[:, :, ::-1]
        found[entry.name] = np.round(255 * both(selfie(image), deeplab(image), image.shape[:2])).astype(
            np.uint8
        )
        if number % 200 == 0:
            print(f"{number} of {len(entries)}", flush=True)
    part = out / ".teachers.part.npz"
    np.savez_compressed(part, **found)
    os.replace(part, out / "teachers.npz")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--references", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--limit", type=int, help="of images, to try it")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    write(args.data, args.references, args.out, args.limit)


if __name__ == "__main__":
    main()
