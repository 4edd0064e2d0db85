"""Images of any number of channels, in the values they are stored in: arrays, NumPy files, TIFF, PNG and others."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kseg.errors import DataError
from kseg.io.formats.tiff_bands import read_tiff
from kseg.io.image_file import MAX_PIXELS, SUFFIXES, check_pixels, decode_errors, image_kind, open_image
from kseg.io.regular import read_regular

BAND_SUFFIXES = (*SUFFIXES, ".npy", ".npz")
BYTES = (0.0, 255.0)


def read_bands(
    source: str | Path | bytes,
    channels: int,
    value_range: tuple[float, float] = BYTES,
    max_pixels: int = MAX_PIXELS,
    *,
    name: str | None = None,
) -> np.ndarray:
    """Reads an image of any number of channels; values are never scaled.

    Args:
        source: path of a `.npy` file `(height, width, channels)`; an `.npz` file of one such array, or of one array
            `(height, width)` a channel, in the order of their names; a TIFF of several pages or bands (see
            `kseg.io.formats.tiff_bands`); a PNG, JPEG, BMP or WebP of 1, 3 or 4 channels. Or the bytes of such a file.
        channels: how many are expected.
        value_range: (lowest, highest) value that may come.
        max_pixels: images of more pixels are refused before they are decoded.
        name: what to call the image in messages; default: its path.

    Returns:
        As `as_bands`.

    Raises:
        DataError: The file is missing, damaged, or of another kind; and as `as_bands`.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        data, name = bytes(source), name or "the image"
    else:
        name = name or str(source)
        data = read_regular(Path(source), max_pixels * max(channels, 4))
    return as_bands(_decoded(data, name, max_pixels), name, channels, value_range)


def as_bands(array: Any, where: str, channels: int, value_range: tuple[float, float] = BYTES) -> np.ndarray:
    """An array as an image of `channels` channels.

    Args:
        array: `(height, width, channels)`, or `(height, width)` of one channel; whole numbers or floats.
        where: begins the message.
        channels: how many are expected.
        value_range: (lowest, highest) value that may come. Values are not scaled: a network made for that range does
            it.

    Returns:
        uint8 where the range is 0 to 255 (floats are rounded), else uint8, uint16 or float32 `(height, width,
        channels)`.

    Raises:
        DataError: another shape or type, NaN, or values outside of the range.
    """
    image = np.asarray(array)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] != channels or 0 in image.shape:
        first = image.ndim == 3 and image.shape[0] == channels
        hint = ": channels come last, np.moveaxis(image, 0, -1)" if first else ""
        raise DataError(
            f"{where}: an image of shape {np.shape(array)}; expected (height, width, {channels}){hint}"
        )
    if image.dtype.kind not in "uif":
        raise DataError(f"{where}: an image of {image.dtype}; expected whole numbers or floats")
    check_values(image, where, value_range)
    if tuple(value_range) == BYTES:
        image = np.round(image) if image.dtype.kind == "f" else image
        return np.ascontiguousarray(image, dtype=np.uint8)
    return np.ascontiguousarray(
        image, dtype=image.dtype if image.dtype in (np.uint8, np.uint16) else np.float32
    )


def check_values(image: np.ndarray, where: str, value_range: tuple[float, float]) -> None:
    """DataError for NaN, values outside of the range, and fractions of 0 to 1 where far more is expected."""
    low, high = value_range
    least, most = float(image.min()), float(image.max())
    if not (np.isfinite(least) and np.isfinite(most)):
        raise DataError(f"{where}: the image has NaN or infinite values")
    expected = f"expected {low:g} to {high:g}, the value range that was declared"
    if least < low or most > high:
        raise DataError(
            f"{where}: image values from {least:g} to {most:g}; {expected}: declare another, as value_range=(0, 65535)"
        )
    if image.dtype.kind == "f" and low == 0 and high >= 10 and 0 < most <= 1:
        raise DataError(f"{where}: image values from 0 to 1; {expected}: declare value_range=(0, 1)")


def resized(image: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    """An image of any number of channels at (height, width), by one of OpenCV's interpolations."""
    parts = [
        cv2.resize(image[..., at : at + 4], size[::-1], interpolation=interpolation).reshape(*size, -1)
        for at in range(0, image.shape[-1], 4)  # OpenCV averages four channels at most
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def shown(image: np.ndarray, value_range: tuple[float, float] = BYTES) -> np.ndarray:
    """An image as a person sees it: uint8 RGB, of its first three channels, or of its first as grey.

    Args:
        image: `(height, width, channels)`.
        value_range: what becomes black and white.
    """
    image = image[..., :3] if image.shape[-1] >= 3 else np.repeat(image[..., :1], 3, axis=-1)
    if image.dtype == np.uint8 and tuple(value_range) == BYTES:
        return np.ascontiguousarray(image)
    low, high = value_range
    scaled = (image.astype(np.float32) - low) * (255 / (high - low))
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def _decoded(data: bytes, name: str, max_pixels: int) -> np.ndarray:
    if data[:6] == b"\x93NUMPY":
        return _of_numpy(io.BytesIO(data), len(data), name, max_pixels)
    if data[:4] == b"PK\x03\x04":
        return _of_archive(data, name, max_pixels)
    if image_kind(data) == "tiff":
        return read_tiff(data, name, max_pixels)
    open_image(data, max_pixels, name=name)  # refuses what is not an image, or too large
    with decode_errors(name):
        pixels = cv2.imdecode(
            np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
        )
        if pixels is None:
            raise ValueError("an image that OpenCV does not read")
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]
    return pixels


def _of_numpy(file: Any, size: int, name: str, max_pixels: int) -> np.ndarray:
    """A `.npy` file, whose header is believed only as far as the file bears it out."""
    with decode_errors(name):
        start = file.tell()
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[
            version
        ]
        shape, _, dtype = read(file)
        if len(shape) in (2, 3):
            check_pixels(name, *shape[:2], max_pixels)
        if dtype.hasobject or int(np.prod(shape, dtype=object)) * dtype.itemsize != size - (
            file.tell() - start
        ):
            raise ValueError("not the array that its header promises")
        file.seek(start)
        return np.lib.format.read_array(file, allow_pickle=False)


def _of_archive(data: bytes, name: str, max_pixels: int) -> np.ndarray:
    """An `.npz` file: one array `(height, width, channels)`, or several `(height, width)`."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise DataError(f"{name}: the file is cut short or damaged: replace or remove it")
    with decode_errors(name), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = sorted(archive.infolist(), key=lambda member: member.filename)
        if sum(member.file_size for member in members) > max(100 * len(data), 64 << 20):
            raise ValueError("it would unpack to far more than it is")
        arrays = []
        for member in members:
            with archive.open(member) as file:
                content = file.read()
            arrays.append(
                _of_numpy(io.BytesIO(content), len(content), f"{name}, {member.filename}", max_pixels)
            )
    if len(arrays) == 1:
        return arrays[0]
    if not arrays or any(array.ndim != 2 or array.shape != arrays[0].shape for array in arrays):
        raise DataError(
            f"{name}: expected one array (height, width, channels), or arrays (height, width) of one size; got "
            f"{', '.join(str(array.shape) for array in arrays) or 'none'}"
        )
    return np.stack(arrays, axis=-1)
