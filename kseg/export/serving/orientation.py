"""EXIF orientation inside a TensorFlow graph: phones store images lying down and write which side is up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


TAG, SHORT, LONG = 0x0112, 3, 4
MOST_ENTRIES = 512  # of a directory of EXIF tags


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """An image (height, width, channels) turned as its EXIF orientation says, 1 to 8 (EXIF 2.32, section 4.6.4)."""
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    left_right = tf.reduce_any(orientation == tf.constant([2, 3, 6, 7]))
    up_down = tf.reduce_any(orientation == tf.constant([3, 4, 7, 8]))
    image = tf.cond(left_right, lambda: tf.reverse(image, (1,)), lambda: image)
    return tf.cond(up_down, lambda: tf.reverse(image, (0,)), lambda: image)


def orientation_of(data: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation, 1 to 8, of a JPEG or PNG file's bytes; 1 where it says none."""
    return _of_tiff(tf.cond(is_png, lambda: _exif_of_png(data), lambda: _exif_of_jpeg(data)))


def _exif_of_jpeg(data: tf.Tensor) -> tf.Tensor:
    """The TIFF structure in the first APP1 segment that holds EXIF, or nothing. Segments end with the scan."""

    def step(at: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        head = _bytes(data, at, 4)
        marker, length = head[1], head[2] * 256 + head[3]
        fill = marker == 0xFF
        alone = (marker == 0xD8) | (marker == 0x01) | ((marker >= 0xD0) & (marker <= 0xD7))
        last = (head[0] != 0xFF) | (marker == 0xDA) | (marker == 0xD9) | (~fill & ~alone & (length < 2))
        exif = (marker == 0xE1) & (_text(data, at + 4, 6) == b"Exif\0\0")
        found = tf.where(exif & ~last, _text(data, at + 10, tf.maximum(length - 8, 0)), found)
        onward = at + tf.where(fill, 1, tf.where(alone, 2, 2 + length))
        return tf.where(last | exif, tf.strings.length(data), onward), found

    return _walked(data, step, 0)


def _exif_of_png(data: tf.Tensor) -> tf.Tensor:
    """The TIFF structure in the eXIf chunk, or nothing."""

    def step(at: tf.Tensor, found: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        head = _bytes(data, at, 4)
        whole = tf.strings.length(data)
        length = tf.where(head[0] > 0x0F, whole, head[0] * 2**24 + head[1] * 2**16 + head[2] * 256 + head[3])
        kind = _text(data, at + 4, 4)
        found = tf.where(kind == b"eXIf", _text(data, at + 8, length), found)
        last = (kind == b"eXIf") | (kind == b"IEND")
        return tf.where(last, whole, at + tf.minimum(length, whole) + 12), found

    return _walked(data, step, 8)


def _walked(data: tf.Tensor, step: Callable[..., tuple[tf.Tensor, tf.Tensor]], start: int) -> tf.Tensor:
    """What `step(position, found)` has found when its position is at the file's end."""
    whole = tf.strings.length(data)
    _, found = tf.while_loop(lambda at, found: at < whole, step, (tf.constant(start), tf.constant("")))
    return found


def _of_tiff(tiff: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of a TIFF structure; 1 where there is none or it makes no sense."""
    values = tf.cast(tf.io.decode_raw(tiff, tf.uint8), tf.int32)
    size = tf.shape(values)[0]
    values = tf.concat([values, tf.zeros(12, tf.int32)], 0)
    little = _text(tiff, tf.constant(0), 2) == b"II"

    def number(at: tf.Tensor) -> tf.Tensor:
        """Two bytes from each position on."""
        at = tf.clip_by_value(at, 0, size)
        first, second = tf.gather(values, at), tf.gather(values, at + 1)
        return tf.where(little, second * 256 + first, first * 256 + second)

    known = little | (_text(tiff, tf.constant(0), 2) == b"MM")
    directory = tf.where(little, number(4), number(6))  # lower half of the offset: EXIF is below 64 KiB
    count = tf.where(known, tf.minimum(number(directory), MOST_ENTRIES), 0)
    entries = directory + 2 + 12 * tf.range(count)
    entries = tf.boolean_mask(entries, (number(entries) == TAG) & (entries + 12 <= size))
    entry = tf.concat([entries, [0]], 0)[0]
    long_at_end = (number(entry + 2) == LONG) & ~little
    value = tf.where(long_at_end, number(entry + 10), number(entry + 8))
    sensible = (tf.size(entries) > 0) & (value >= 1) & (value <= 8)
    return tf.where(sensible, value, 1)


def _bytes(data: tf.Tensor, at: tf.Tensor, count: int) -> tf.Tensor:
    """`count` bytes from a position on as int32, zeros beyond the end."""
    raw = tf.io.decode_raw(_text(data, at, count) + "\0" * count, tf.uint8)
    return tf.cast(tf.ensure_shape(raw[:count], (count,)), tf.int32)


def _text(data: tf.Tensor, at: tf.Tensor, count: tf.Tensor | int) -> tf.Tensor:
    return tf.strings.substr(data, tf.minimum(at, tf.strings.length(data)), count)
