"""The one reader of images: size before decoding, orientation as viewers show it, nothing broken taken silently."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from kseg.errors import DataError, KsegWarning
from kseg.io.image_file import MAX_PIXELS, SUFFIXES, ImageFile, decode_errors, load_jpeg, open_image

__all__ = ["MAX_PIXELS", "SUFFIXES", "image_size", "read_image"]


def read_image(
    source: str | Path | bytes, max_pixels: int = MAX_PIXELS, *, name: str | None = None
) -> np.ndarray:
    """Reads an image as RGB.

    Grey becomes RGB, alpha is dropped, 16 bits are scaled to 8, and an EXIF orientation (JPEG, PNG, WebP, TIFF) is
    applied, so that the array is what an image viewer shows.

    Args:
        source: path of a PNG, JPEG, BMP, WebP, TIFF or GIF file, or such a file's bytes.
        max_pixels: images with more pixels are refused from their header, before they are decoded.
        name: what to call the image in messages; default: its path.

    Returns:
        uint8 array of shape `(height, width, 3)`, RGB.

    Raises:
        DataError: The file is missing, not an image, cut short or damaged (in a JPEG also where libjpeg would fill
            the damage with grey), larger than `max_pixels`, an animation, or holds values whose range is unknown:
            floats, 32-bit integers, or 16-bit values that use no more than 12 bits.

    Example:

    >>> import io
    >>> from PIL import Image
    >>> from kseg.data import read_image
    >>> file = io.BytesIO()
    >>> Image.new("L", (4, 2), 200).save(file, "PNG")
    >>> read_image(file.getvalue()).shape
    (2, 4, 3)
    """
    file = open_image(source, max_pixels, name=name)
    image = load(file)  # before deep colours too: Pillow finds damage that OpenCV passes over
    with decode_errors(file.name):
        if file.deep:
            pixels = deep_pixels(file)[..., :3]
        elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
            pixels = np.asarray(image)
            pixels = pixels.astype(pixels.dtype.newbyteorder("="))
        else:
            image.info.pop("transparency", None)
            image = image.convert("L" if image.mode in ("1", "L", "LA", "La") else "RGB")
            pixels = np.asarray(image)
        # Exif 2.3, tag 0x0112: turns and mirrors, no resampling. A TIFF has been turned by Pillow.
        orientation = 1 if file.kind == "tiff" else file.orientation
        if orientation >= 5:
            pixels = pixels.swapaxes(0, 1)
        if orientation in (2, 3, 6, 7):
            pixels = pixels[:, ::-1]
        if orientation in (3, 4, 7, 8):
            pixels = pixels[::-1]
    if pixels.dtype == np.uint16:
        _check_range(file, pixels)
        pixels = to_8_bits(pixels)
    if pixels.dtype != np.uint8:
        raise DataError(
            f"{file.name}: the image holds {pixels.dtype} values, whose range kseg cannot know: save it with 8 or 16 "
            "bits a channel"
        )
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    return np.ascontiguousarray(pixels[..., :3])


def image_size(source: str | Path | bytes, *, name: str | None = None) -> tuple[int, int]:
    """(height, width) of the array that `read_image` would return, from the file's header alone."""
    return open_image(source, None, name=name).oriented_size()


def load(file: ImageFile) -> Image.Image:
    """Decodes the image into `file.opened`, as Pillow stores it; a TIFF is turned as its orientation says.

    Raises:
        DataError: It is damaged.
    """
    with decode_errors(file.name):
        if file.frame is not None:
            load_jpeg(file)
        else:
            file.opened.load()
    return file.opened


def deep_pixels(file: ImageFile) -> np.ndarray:
    """Decodes colours of more than 8 bits: `(height, width, channels)`, RGB or RGBA, uint16."""
    with decode_errors(file.name):
        pixels = cv2.imdecode(np.frombuffer(file.data, np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None or pixels.shape[:2] != (file.height, file.width) or pixels.ndim != 3:
            raise ValueError("colours of 16 bits that OpenCV does not read")
        return pixels[..., [2, 1, 0, 3][: pixels.shape[-1]]]


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 of uint8 or uint16 values, white to white."""
    if pixels.dtype == np.uint16:
        pixels = (pixels.astype(np.uint32) + 128) // 257  # 65535 / 255 = 257: white stays white
    return pixels.astype(np.uint8, copy=False)


def _check_range(file: ImageFile, pixels: np.ndarray) -> None:
    """16-bit files of cameras with 10, 12 or 14 bits: nearly black if their values were taken for 16 bits."""
    highest = int(pixels.max())
    bits = next((bits for bits in (8, 10, 12, 14) if highest < 1 << bits), 16)
    if highest > 0 and bits <= 12:
        raise DataError(
            f"{file.name}: a 16-bit image whose highest value is {highest} of 65535: {bits}-bit data, it seems, which "
            f"would be read as black: multiply the values by {1 << (16 - bits)}, or save the image with 8 bits"
        )
    if highest > 0 and bits == 14:
        warnings.warn(
            f"{file.name}: a 16-bit image whose highest value is {highest} of 65535; if it holds 14-bit data, multiply "
            "the values by 4",
            KsegWarning,
            stacklevel=3,
        )
