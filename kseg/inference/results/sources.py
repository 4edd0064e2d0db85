"""`result_of`: a predictor's `Result` for one image, wherever it comes from; the images of videos and cameras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import DataError
from kseg.inference.checks import checked_image
from kseg.inference.results.result import Result
from kseg.io.bands import BYTES, read_bands, shown
from kseg.io.images import MAX_PIXELS, read_image
from kseg.visualize.palette import Palette, default_palette


def result_of(predictor: Any, source: Any) -> Result:
    """Predict one image.

    Args:
        predictor: a `Predictor`, `FilePredictor`, `ProposalPredictor` or `Ensemble`.
        source: a path, the bytes of a file, a file open in binary mode, a PIL image or an array `(height, width, 3)`;
            or of the channels and the values that the model takes.

    Returns:
        A `Result`; without class names of the model those of one channel are "background" and "object".

    Raises:
        DataError: what is not an image.
    """
    path = source if isinstance(source, str | Path) else None
    info = getattr(predictor, "info", None)
    if isinstance(source, Mapping):
        raise DataError(
            f"Expected an image; got a dict with the keys {', '.join(map(str, source))}: choose the image of each, as "
            "by (each['image'] for each in data)"
        )
    if hasattr(source, "read") and not hasattr(source, "__getitem__"):
        source = source.read()
        if isinstance(source, str):
            raise DataError('Expected an image; got a file open as text: open it in binary mode, open(path, "rb")')
    if isinstance(source, str | Path | bytes | bytearray):
        image = read(predictor, bytes(source) if isinstance(source, bytearray) else source)
    elif hasattr(source, "getexif"):  # PIL
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(source)
        image = np.asarray(upright.convert("RGB") if info is None or info.is_rgb else upright)
        image = checked_image(image, info)
    else:
        image = checked_image(np.asarray(source), info)
    probabilities = predictor.probabilities(image)
    count = probabilities.shape[-1]
    model = getattr(predictor, "model", None)
    one_channel = getattr(info, "output_channels", 0) == 1 and not info.multilabel
    unnamed = ["background", "object"] if one_channel else [f"class {i}" for i in range(count)]
    names = getattr(model, "classes", None) or unnamed
    palette = getattr(model, "palette", None) or default_palette(count)
    return result_from(predictor, image, probabilities, names, palette, path)


def images_in(source: Any) -> Iterator[Any]:
    """The images of a data set, of batches, or of what else can be iterated; of (image, mask) the image.

    Args:
        source: a `kseg.data.Dataset`, whose masks are not read where its images are files; `(x, y)` or
            `(x, y, weights)` of arrays; or what gives images, batches of them, or tuples that begin with either.
    """
    if hasattr(source, "num_classes") and hasattr(source, "load"):
        for index in range(len(source)):
            yield source.file_of(index) or source.load(index)[0]
        return
    if isinstance(source, tuple) and 2 <= len(source) <= 3 and len(getattr(source[0], "shape", ())) == 4:
        ranks = [len(getattr(part, "shape", ())) for part in source]
        source = source[:1] if ranks[1] in (3, 4) and len(source[0]) == len(source[1]) else source
    by_number = not hasattr(source, "__iter__")  # a PyDataset
    for one in (source[index] for index in range(len(source))) if by_number else source:
        if isinstance(one, tuple) and 2 <= len(one) <= 3:
            one = one[0]
        if len(getattr(one, "shape", ())) == 4:
            yield from np.asarray(one)
        else:
            yield one


def result_from(
    predictor: Any,
    image: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    palette: Palette,
    path: str | Path | None,
) -> Result:
    """The `Result` of probabilities that a predictor gave for an image."""
    info = getattr(predictor, "info", None)
    visible = shown(image, BYTES if info is None else info.value_range)
    threshold, multilabel = getattr(predictor, "threshold", 0.5), bool(getattr(info, "multilabel", False))
    return Result(visible, probabilities, classes, palette, path, threshold, multilabel)


def read(predictor: Any, source: str | Path | bytes, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """An image file in the channels and the values that a predictor takes."""
    info = getattr(predictor, "info", None)
    if info is None or info.is_rgb:
        return read_image(source, max_pixels)
    return read_bands(source, info.channels, info.value_range, max_pixels)


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
