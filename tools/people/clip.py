"""Make a clip of photos for the webcam app: a window moves over each of them, with a camera's noise.

python tools/people/clip.py photo1.jpg photo2.jpg --out clip.mp4
kseg webcam --source clip.mp4 --headless --output shown.mp4 --background blur
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT, RATE = 640, 480, 25
NOISE = 4.0  # of 255


def windows(width: int, height: int, frames: int) -> Iterator[tuple[float, float, float]]:
    """Left, top and width of windows of 4:3 that go from the left to the right and come nearer, within the image."""
    largest = min(width, height * WIDTH / HEIGHT)
    for number in range(frames):
        share = number / max(frames - 1, 1)
        wide = largest * (1 - 0.3 * share)
        yield (width - wide) * share, (height - wide * HEIGHT / WIDTH) * (0.5 - 0.3 * share), wide


def frames_of(image: np.ndarray, count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """uint8 (HEIGHT, WIDTH, 3) for each window of an image."""
    for left, top, wide in windows(image.shape[1], image.shape[0], count):
        scale = WIDTH / wide
        frame = cv2.warpAffine(
            image,
            np.array([[scale, 0, -left * scale], [0, scale, -top * scale]]),
            (WIDTH, HEIGHT),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        yield np.clip(frame + rng.normal(0, NOISE, frame.shape), 0, 255).astype(np.uint8)


def write(photos: list[Path], out: Path, seconds: float) -> int:
    """Write the clip; gives the number of its frames."""
    rng, count = np.random.default_rng(0), max(1, round(seconds * RATE))
    video = cv2.VideoWriter(str(out), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    for photo in photos:
        image = cv2.imread(str(photo))
        if image is None:
            raise SystemExit(f"{photo}: not an image that OpenCV reads")
        for frame in frames_of(image, count, rng):
            video.write(frame)
    video.release()
    return count * len(photos)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path, help="an .mp4 file")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each photo (2)")
    args = parser.parse_args()
    print(f"{args.out}: {write(args.photos, args.out, args.seconds)} frames")


if __name__ == "__main__":
    main()
