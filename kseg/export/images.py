"""Images for calibrating and for comparing: drawn from a data set, given by the user, or made up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import cv2
import numpy as np

from kseg.data import as_dataset
from kseg.errors import DataError, SettingsError
from kseg.export.graph import Size
from kseg.inference.checks import check_range
from kseg.inference.model_info import ModelInfo
from kseg.io.bands import BYTES, as_bands
from kseg.io.bands import resized as resized_bands

MOST_CLASSES = 255  # where labels are not looked at


def calibration_images(dataset: Any, size: Size, *, count: int = 100, seed: int = 0) -> list[np.ndarray]:
    """Images of a data set with which int8 quantisation measures the range of every map.

    Args:
        dataset: a `kseg.data.Dataset`, or what `kseg.data.as_dataset` takes: `(x, y)`, a `tf.data.Dataset` or a
            `keras.utils.PyDataset` of (images, masks). Labels are not looked at.
        size: (height, width) of the export; images are resized to it.
        count: how many, drawn without repetition; fewer where the data set has fewer.
        seed: of the draw.

    Returns:
        uint8 arrays `(height, width, 3)`, RGB 0-255.

    Raises:
        SettingsError: a count below 1.
        DataError: an empty data set, or an image that cannot be read.

    Example:

    >>> images, masks = np.zeros((5, 40, 60, 3), "uint8"), np.zeros((5, 40, 60), "uint8")
    >>> found = kseg.export.calibration_images((images, masks), (32, 48), count=3)
    >>> len(found), found[0].shape
    (3, (32, 48, 3))
    """
    if count < 1:
        raise SettingsError(f"`count` of calibration images is at least 1, got {count}")
    if not _has_samples(dataset):
        dataset = as_dataset(dataset, MOST_CLASSES)
    if len(dataset) == 0:
        raise DataError("Calibration needs images, and the data set has none")
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:count]
    return [resized(dataset.load(int(index))[0], size) for index in sorted(chosen)]


def resized(image: np.ndarray, size: Size) -> np.ndarray:
    """The image at (height, width), averaged where it shrinks; itself where it has that size."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    shrinks = height < image.shape[0] or width < image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return resized_bands(image, (height, width), how)


def as_batches(
    source: Any,
    size: Size | None,
    channels: int,
    count: int | None = None,
    value_range: tuple[float, float] = BYTES,
) -> list[np.ndarray]:
    """float32 images (1, height, width, channels) from a data set or an iterable of images.

    Args:
        source: what `labelled_data` takes, or an iterable of arrays (H, W, C) or (batch, H, W, C), 0-255.
        size: (height, width) they are resized to; None leaves them.
        channels: number of channels that the model takes.
        count: at most that many.
        value_range: (lowest, highest) value of the images.
    """
    source = dataset if (dataset := labelled_data(source, MOST_CLASSES)) is not None else source
    if dataset is not None:
        total = len(source)
        chosen = (
            np.unique(np.linspace(0, total - 1, min(count or total, total)).round().astype(int))
            if total
            else []
        )
        source = [source.load(int(index))[0] for index in chosen]
    elif count is None and hasattr(source, "cardinality") and int(source.cardinality()) == -1:
        raise DataError(
            "The images come from a tf.data.Dataset without an end: give .take(n) of it, or a limit"
        )
    arrays = (np.asarray(one) for one in source)
    single = chain.from_iterable(array if array.ndim == 4 else [array] for array in arrays)
    images = [checked(image, channels, value_range) for image in islice(single, count)]
    if not images:
        raise DataError("At least one image is needed; got none")
    return [(image if size is None else resized(image, size)).astype(np.float32)[None] for image in images]


def labelled_data(data: Any, classes: Any) -> Any | None:
    """The labelled data set that `data` is, of these classes unless it says its own; None for images alone.

    Args:
        data: a `kseg.data.Dataset`, or what `kseg.data.as_dataset` takes. Tuples and lists of images are images.
        classes: names, or how many there are.
    """
    if _has_samples(data):
        return data
    if hasattr(data, "element_spec"):  # tf.data
        pairs = isinstance(data.element_spec, (tuple, dict))
    elif isinstance(data, tuple) and len(data) in (2, 3):
        pairs = isinstance(data[0], (list, tuple)) or np.ndim(data[0]) != 3 or np.ndim(data[1]) < 3
    elif isinstance(data, list) or (hasattr(data, "__getitem__") and not hasattr(data, "shape")):
        first = data[0] if len(data) else None
        pairs = isinstance(first, (tuple, list)) and len(first) in (2, 3)
    else:
        pairs = False
    return as_dataset(data, classes) if pairs else None


def _has_samples(data: Any) -> bool:
    """Whether `data` is a `Dataset`, or has its `load`; that of TensorFlow's is another."""
    return hasattr(data, "load") and hasattr(data, "__len__") and not hasattr(data, "element_spec")


def checked(image: np.ndarray, channels: int, value_range: tuple[float, float] = BYTES) -> np.ndarray:
    """An image (height, width, channels) of 0-255 in a type that OpenCV resizes; DataError for anything else.

    Of another range of values, as `kseg.io.bands.as_bands`.
    """
    image = image[0] if image.ndim == 4 and len(image) == 1 else image
    if value_range != BYTES:
        return as_bands(image, "the image", channels, value_range)
    if image.ndim != 3 or image.shape[-1] != channels or image.dtype.kind not in "uif" or 0 in image.shape:
        raise DataError(
            f"Expected an image (height, width, {channels}), 0-255, got {image.dtype} {image.shape}"
        )
    check_range(image)
    known = image.dtype in (np.uint8, np.uint16, np.float32)  # of those OpenCV resizes
    return image if known else image.astype(np.float32)


def random_images(
    sizes: Sequence[Size], channels: int, seed: int = 0, value_range: tuple[float, float] = BYTES
) -> list[np.ndarray]:
    """float32 (1, height, width, channels), 0-255 or another range: soft blobs with some noise, one image a size."""
    low, high = value_range
    rng = np.random.default_rng(seed)
    images = []
    for height, width in sizes:
        coarse = rng.uniform(0, 255, (5, 7, channels)).astype(np.float32)
        planes = [cv2.resize(coarse[..., c], (width, height)) for c in range(channels)]
        noisy = np.stack(planes, axis=-1) + rng.normal(0, 8, (height, width, channels))
        image = np.clip(noisy, 0, 255).astype(np.float32).round()[None]
        images.append(image if value_range == BYTES else low + image * np.float32((high - low) / 255))
    return images


def images_to_compare(
    source: Any, size: Size | None, channels: int, value_range: tuple[float, float] = BYTES
) -> list[np.ndarray]:
    """What an exported file is compared on: up to 16 images of `source`, else random ones, of two sizes where free."""
    if source is not None:
        return as_batches(source, size, channels, 16, value_range)
    sizes = [size] if size else [(96, 128), (81, 114)]
    return random_images(sizes, channels, value_range=value_range)


def images_and_labels(
    data: Any, labelled: bool, size: Size | None, info: ModelInfo, limit: int | None
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """Batches of one image, rounded to whole numbers as a camera gives them, and their labels or None."""
    channels, values = info.channels, info.value_range
    if not labelled:
        batches = (
            random_images([size or (128, 160)], channels, value_range=values)
            if data is None
            else as_batches(data, size, channels, limit, values)
        )
        yield from ((batch.round() if values == BYTES else batch, None) for batch in batches)
        return
    if len(data) == 0:
        raise SettingsError(f"The data set {data.name} has no images to compare on")
    for index in np.unique(
        np.linspace(0, len(data) - 1, min(limit or len(data), len(data))).round().astype(int)
    ):
        image, truth = data.load(int(index))
        image = checked(image, channels, values)
        yield (image if size is None else resized(image, size)).astype(np.float32)[None], truth
