"""The signatures of a served model: images or encoded images in, masks out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

from kseg.export.graph import Size, class_ids_of, output_of
from kseg.export.serving.orientation import orientation_of, upright
from kseg.inference.model_info import ModelInfo
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


MAX_BYTES = 32_000_000  # of one encoded image
MAX_PIXELS = 50_000_000
PIXELS_PER_BYTE = 512  # of a JPEG file, at most: every block of 8x8 pixels takes at least one bit
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"


def signatures(
    model: keras.Model,
    info: ModelInfo,
    *,
    size: Size | None,
    encoded_size: Size,
    dtype: str,
    confidence: bool,
) -> dict[str, tuple[Any, tf.TensorSpec]]:
    """`serving_default` and `encoded`, each a function and its input.

    `serving_default`: `images` (batch, height, width, 3), 0-255, gives `mask` uint8 (batch, height, width); of a model
    of other channels, values or of classes that overlap, images of those and masks (batch, height, width, classes),
    and there is no `encoded`.
    `encoded`: `image_bytes` (batch,), JPEG or PNG files, turned upright by their EXIF orientation and resized to one
    size so that the server can batch them, gives `mask` and `mask_bytes`, the mask as an 8-bit PNG of class ids.
    Requests that are not images, empty batches, images of more than 50 megapixels or 32 MB, files that end too early
    and JPEG files of fewer bytes than their pixels need are answered with INVALID_ARGUMENT. Damage inside a JPEG
    file's data (bytes overwritten, cut and ended again) is not seen by TensorFlow's decoder: what sends files from
    a doubtful source checks them first, as `kseg check-data` does.

    Args:
        model, info: the model, and what its output is.
        size: (height, width) of `serving_default`; None takes any.
        encoded_size: (height, width) that `encoded` resizes images to.
        dtype: of the images of `serving_default`, "uint8" or "float32".
        confidence: also give the winning class's probability, float32 (batch, height, width).
    """
    output = output_of(model)

    def masks(images: tf.Tensor) -> dict[str, tf.Tensor]:
        y = output(images)
        outputs = {"mask": class_ids_of(info, y)}
        if confidence:
            outputs["confidence"] = tf.reduce_max(info.probabilities(info.scores(y)), axis=-1)
        return outputs

    given = (None, *(size or (None, None)), model.inputs[0].shape[-1])

    def serving_default(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return masks(_checked(images, given, "images"))

    def encoded(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        image_bytes = _checked(image_bytes, (None,), "image_bytes")
        spec = tf.TensorSpec((*encoded_size, 3), tf.float32)
        images = tf.map_fn(lambda b: decoded(b, encoded_size), image_bytes, fn_output_signature=spec)
        outputs = masks(tf.ensure_shape(images, (None, *encoded_size, 3)))
        png = tf.map_fn(tf.io.encode_png, outputs["mask"][..., None], fn_output_signature=tf.string)
        return {**outputs, "mask_bytes": png}

    spec = tf.TensorSpec(given, dtype, name="images")
    found = {"serving_default": (serving_default, spec)}
    if info.is_rgb and not info.multilabel:
        found["encoded"] = (encoded, tf.TensorSpec((None,), tf.string, name="image_bytes"))
    return found


def _checked(batch: tf.Tensor, shape: tuple[int | None, ...], name: str) -> tf.Tensor:
    """The batch; InvalidArgumentError at run time for another shape than the signature has, or an empty batch.

    A server feeds what it was sent: of the signature it compares names and types only, and a grey image
    (one channel) would be spread over all channels without a word.
    """
    batch = tf.ensure_shape(batch, shape, name=name)
    full = tf.debugging.Assert(tf.size(batch) > 0, [f"{name}: the batch is empty; send at least one"])
    with tf.control_dependencies([full]):
        return tf.identity(batch)


def decoded(data: tf.Tensor, size: Size) -> tf.Tensor:
    """A JPEG or PNG file's bytes as float32 (height, width, 3), 0-255, upright, antialiased where it shrinks.

    Sizes are read from the header first: a small file can claim an image that fills the memory. Anything
    else than a JPEG or PNG image of at most 50 megapixels and 32 MB raises InvalidArgumentError.
    """
    is_png = tf.strings.substr(data, 0, len(PNG)) == PNG
    is_jpeg = tf.strings.substr(data, 0, len(JPEG)) == JPEG
    known = tf.debugging.Assert(is_png | is_jpeg, ["image_bytes: not a JPEG or PNG file"])
    small = tf.debugging.Assert(
        tf.strings.length(data) <= MAX_BYTES, [f"image_bytes: a file of more than {MAX_BYTES} bytes"]
    )
    with tf.control_dependencies([known, small]):
        data = tf.identity(data)
    pixels = tf.cond(
        is_png,
        lambda: _png_pixels(data),
        lambda: tf.reduce_prod(tf.cast(tf.image.extract_jpeg_shape(data)[:2], tf.int64)),
    )
    fits = tf.debugging.Assert(
        (pixels > 0) & (pixels <= MAX_PIXELS),
        [f"image_bytes: an image of no or of more than {MAX_PIXELS} pixels:", pixels],
    )
    enough = tf.debugging.Assert(
        is_png | (tf.cast(tf.strings.length(data), tf.int64) * PIXELS_PER_BYTE >= pixels),
        ["image_bytes: a damaged JPEG file, it has too few bytes for its pixels:", pixels],
    )
    with tf.control_dependencies([fits, enough]):
        data = tf.identity(data)
    image = tf.cond(
        is_png,
        lambda: tf.io.decode_png(data, channels=3),
        lambda: tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE"),
    )
    image = upright(image, orientation_of(data, is_png))
    return tf.ensure_shape(tf.image.resize(image, size, antialias=True), (*size, 3))


def _png_pixels(data: tf.Tensor) -> tf.Tensor:
    """Width times height from the IHDR chunk, always the first (PNG specification, section 11.2.1)."""
    long_enough = tf.debugging.Assert(tf.strings.length(data) >= 24, ["image_bytes: a PNG file cut short"])
    with tf.control_dependencies([long_enough]):
        header = tf.strings.substr(data, 16, 8)
    values = tf.cast(tf.io.decode_raw(header, tf.uint8), tf.int64)
    sides = tf.reduce_sum(
        tf.reshape(values, (2, 4)) * tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64), axis=1
    )
    # Each side by itself first: the product of two large ones would overflow.
    return tf.where(tf.reduce_max(sides) > MAX_PIXELS, tf.reduce_max(sides), tf.reduce_prod(sides))
