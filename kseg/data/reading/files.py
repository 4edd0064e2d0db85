"""Reading pictures and masks from files, strictly: size before decoding, nothing broken accepted silently."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from kseg.data.reading.headers import Header, png_chunks, read_header
from kseg.data.reading.mat_mask import read_mat_mask
from kseg.data.reading.regular import read_regular
from kseg.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
MAX_PIXELS = 50_000_000


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A PNG, JPEG, BMP or WebP file as uint8 RGB (H, W, 3).

    Grey becomes RGB, alpha is dropped, 16 bits are scaled to 8, and a JPEG's EXIF orientation is applied, so
    that the array is what a picture viewer shows.

    Raises:
        DataError: the file is missing, not a picture, cut short or broken, or larger than ``max_pixels``
            (found out from its header, before decoding).
    """
    data, header = _open(path, max_pixels)
    if header.kind == "png":
        pixels = _decode(path, tf.io.decode_png, data, channels=3, dtype=_png_type(header))
    elif header.kind == "jpeg":
        pixels = _decode(path, tf.io.decode_jpeg, data, channels=3, dct_method="INTEGER_ACCURATE")
    else:
        pixels = _to_rgb(_decode_cv2(path, data))
    pixels = _upright(pixels, header.orientation)
    return to_8_bits(pixels)


def read_mask(
    path: str | Path,
    max_pixels: int = MAX_PIXELS,
    colours: Sequence[tuple[tuple[int, int, int], int]] = (),
) -> np.ndarray:
    """A mask file as uint8 class ids (H, W).

    One channel: the values are the ids. Palette PNG (PASCAL VOC): the indices are the ids, whatever the
    colours. Three channels: grey pixels (R = G = B) are ids; with ``colours``, pairs of an RGB colour and the
    id it stands for, every pixel is looked up in them. A mask is never turned, resized or interpolated. A
    ``.mat`` file is read as SBD's (``kseg.data.reading.mat_mask``).

    Raises:
        DataError: as ``read_image``; and for a lossy file (JPEG, lossy WebP), an id above 255, a colour mask
            without ``colours``, or a colour that ``colours`` does not have.
    """
    if Path(path).suffix == ".mat":
        return read_mat_mask(path, max_pixels)
    data, header = _open(path, max_pixels)
    if not header.lossless:
        raise DataError(
            f"{path}: {header.kind.upper()} with lossy compression changes class ids: save masks as PNG"
        )
    if header.kind == "png":
        values = _decode_png_mask(path, data, header)
    else:
        values = _decode_cv2(path, data)
        values = values if values.ndim == 2 else _to_rgb(values)
    if values.ndim == 3 and colours:
        return _ids_of_colours(path, values, colours)
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            raise DataError(
                f"{path}: a mask in colours, where one channel of class ids (0, 1, 2, ...) is expected: save "
                'it as an indexed or grey PNG, or give the colours in classes.txt, one "name R G B" a line'
            )
        values = values[..., 0]
    if values.dtype != np.uint8 and values.max() > 255:
        raise DataError(f"{path}: class id {values.max()} in the mask: ids are 0 to 254, and 255 is ignored")
    return np.ascontiguousarray(values, dtype=np.uint8)


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of the array that ``read_image`` would give, from the file's header alone."""
    _, header = _open(path, max_pixels=None)
    return (header.width, header.height) if header.orientation >= 5 else (header.height, header.width)


def png_palette(path: str | Path) -> bytes:
    """The RGB bytes of an indexed PNG's palette; empty for every other file."""
    if Path(path).suffix == ".mat":
        return b""
    data, header = _open(path, max_pixels=None)
    if header.kind != "png" or not header.indexed:
        return b""
    return next((chunk[8:-4] for kind, chunk in png_chunks(data) if kind == b"PLTE"), b"")


def _open(path: str | Path, max_pixels: int | None) -> tuple[bytes, Header]:
    data = read_regular(Path(path), MAX_PIXELS if max_pixels is None else max_pixels)
    header = read_header(data)
    if header is None or header.height < 1 or header.width < 1:
        reason = "an empty file" if not data else "not a PNG, JPEG, BMP or WebP picture, or cut short"
        raise DataError(f"{path}: {reason}: replace or remove it")
    if max_pixels is not None:
        check_pixels(path, header, max_pixels)
    return data, header


def check_pixels(where: str | Path, header: Header, max_pixels: int) -> None:
    """DataError where a picture not decoded yet has more than ``max_pixels`` pixels; ``where`` names it."""
    if header.height * header.width > max_pixels:
        raise DataError(
            f"{where}: {header.height}x{header.width} pixels are more than the limit of {max_pixels:,}, "
            "and were not decoded: make the picture smaller, cut it into tiles, or raise --max-pixels (max_pixels=)"
        )


def _decode(path, decoder, data: bytes, **settings) -> np.ndarray:
    try:
        with tf.device("CPU"):
            return decoder(data, **settings).numpy()
    except tf.errors.OpError:
        raise DataError(_broken(path)) from None


def _decode_cv2(path, data: bytes) -> np.ndarray:
    """Grey (H, W) or BGR(A) (H, W, 3 or 4), as stored."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the DataError says it better
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    finally:
        cv2.utils.logging.setLogLevel(level)
    if pixels is None:
        raise DataError(_broken(path))
    return pixels


def _broken(path) -> str:
    return f"{path}: the picture is cut short or damaged and cannot be decoded: replace or remove it"


def _png_type(header: Header):
    return tf.uint16 if header.bits == 16 else tf.uint8


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=-1)
    return np.ascontiguousarray(pixels[..., 2::-1])


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 of uint8 or uint16 values, white to white."""
    if pixels.dtype == np.uint16:
        pixels = (pixels.astype(np.uint32) + 128) // 257  # 65535 / 255 = 257: white stays white
    return pixels.astype(np.uint8, copy=False)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation (Exif 2.3, tag 0x0112): turns and mirrors, no resampling."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _decode_png_mask(path, data: bytes, header: Header) -> np.ndarray:
    """The samples of a PNG as stored: (H, W) ids, or (H, W, 3) where it has colours.

    Decoders turn palette indices into colours and stretch 1, 2 and 4 bit grey to 0-255. Relabelled as grey
    in its header, an indexed PNG gives its indices, and the stretch of the small depths divides out exactly.
    """
    channels = {0: 1, 2: 3, 3: 1, 4: 1, 6: 3}.get(data[25])
    if channels is None:
        raise DataError(_broken(path))
    if header.indexed:
        data = _relabel_as_grey(path, data)
    values = _decode(path, tf.io.decode_png, data, channels=channels, dtype=_png_type(header))
    if header.bits < 8:
        values = values // (255 // (2**header.bits - 1))
    return values[..., 0] if channels == 1 else values


def _relabel_as_grey(path, data: bytes) -> bytes:
    """The PNG with colour type 3 (indexed) replaced by 0 (grey), and without its PLTE and tRNS chunks."""
    kept = [data[:8]]
    for kind, chunk in png_chunks(data):
        if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            raise DataError(_broken(path))
        if kind == b"IHDR":
            head = chunk[4:17] + b"\0" + chunk[18:-4]
            chunk = chunk[:4] + head + struct.pack(">I", zlib.crc32(head))
        if kind in (b"IHDR", b"IDAT", b"IEND"):
            kept.append(chunk)
    return b"".join(kept)


def _ids_of_colours(path, pixels: np.ndarray, colours) -> np.ndarray:
    codes = pixels.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    ids = np.full(codes.shape, -1, np.int32)
    for (red, green, blue), label in colours:
        ids[codes == red * 65536 + green * 256 + blue] = label
    if (ids < 0).any():
        missing = np.unique(pixels[ids < 0], axis=0)
        examples = ", ".join(str(tuple(map(int, colour))) for colour in missing[:5])
        raise DataError(
            f"{path}: the mask has {len(missing)} colour(s) that belong to no class, such as {examples}: "
            "add them to the class list, or draw the mask without antialiasing"
        )
    return ids.astype(np.uint8)
