"""`result_of`: a predictor's `Result` for one image, wherever it comes from; the images of videos and cameras."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import DataError
from kseg.inference.checks import checked_image
from kseg.inference.result import Result
from kseg.io.images import read_image
from kseg.visualize.palette import default_palette


def result_of(predictor: Any, source: Any) -> Result:
    """Predict one image.

    Args:
        predictor: a `Predictor`, `FilePredictor`, `ProposalPredictor` or `Ensemble`.
        source: a path, the bytes of a file, a PIL image or an array `(height, width, 3)`.

    Returns:
        A `Result`; without class names of the model those of one channel are "background" and "object".

    Raises:
        DataError: what is not an image.
    """
    path = source if isinstance(source, str | Path) else None
    if isinstance(source, str | Path | bytes | bytearray):
        image = read_image(bytes(source) if isinstance(source, bytearray) else source)
    elif hasattr(source, "getexif"):  # PIL
        from PIL import ImageOps

        image = np.asarray(ImageOps.exif_transpose(source).convert("RGB"))
    else:
        image = checked_image(np.asarray(source))
    probabilities = predictor.probabilities(image)
    shown = image if image.dtype == np.uint8 else np.clip(np.round(image), 0, 255).astype(np.uint8)
    count = probabilities.shape[-1]
    model = getattr(predictor, "model", None)
    one_channel = getattr(getattr(predictor, "info", None), "output_channels", 0) == 1
    unnamed = ["background", "object"] if one_channel else [f"class {i}" for i in range(count)]
    names = getattr(model, "classes", None) or unnamed
    palette = getattr(model, "palette", None) or default_palette(count)
    return Result(shown, probabilities, names, palette, path, getattr(predictor, "threshold", 0.5))


def frames(path: Path) -> Iterator[np.ndarray]:
    """The frames of a video that can be read, uint8 RGB."""
    from kseg.io.video import VideoReader

    reader = VideoReader(path)
    try:
        for frame in reader:
            if frame.image is not None:
                yield np.ascontiguousarray(frame.image[..., ::-1])
    finally:
        reader.close()


def camera(number: int) -> Iterator[np.ndarray]:
    """The images of a camera, uint8 RGB, without end; DataError where there is none of that number."""
    import cv2

    capture = cv2.VideoCapture(number)
    try:
        if not capture.isOpened():
            raise DataError(f"There is no camera {number}, or another program uses it")
        while True:
            good, image = capture.read()
            if not good:
                return
            yield np.ascontiguousarray(image[..., ::-1])
    finally:
        capture.release()
