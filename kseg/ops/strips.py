"""Softmax cross-entropy and class ids of an upsampled score map, a strip of rows at a time.

At 150 classes and 473 x 473 pixels the logits of one image are 134 MB, and upsampling them, their softmax, its
gradient and the gradient's way back through the upsampling each hold them again. Here the full map never exists:
rows are upsampled, scored and forgotten, and upsampled once more for the gradient.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

STRIP = 8  # rows that are held at a time


class Taps(NamedTuple):
    """For each line of the upsampled map along one side: its two source lines, and the weight of the second."""

    low: Any
    high: Any
    weight: Any


def taps(position: Any, length: Any) -> Taps:
    """The taps of float positions in source cells; those outside of the map repeat its edge."""
    position = ops.clip(ops.cast(position, "float32"), 0.0, ops.cast(length - 1, "float32"))
    low = ops.minimum(ops.cast(ops.floor(position), "int32"), length - 1)
    return Taps(low, ops.minimum(low + 1, length - 1), position - ops.cast(low, "float32"))


def upsampled_cross_entropy(labels, scores, rows, columns):
    """The cross-entropy of every pixel of a bilinearly upsampled score map.

    Args:
        labels: int32 (batch, height, width), class ids 0 to classes - 1.
        scores: float32 (batch, h, w, classes).
        rows, columns: `Taps` of the height and of the width.

    Returns:
        float32 (batch, height, width). Its gradient reaches `scores` and holds one strip of logits too.
    """
    if keras.backend.backend() != "tensorflow":
        logits = _upsampled(scores, rows, columns)
        return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    shape = (scores.shape[0], None, columns.low.shape[0])

    @tf.custom_gradient
    def losses(scores):
        def of_strip(start: Any, stop: Any) -> Any:
            logits = _upsampled(scores, _part(rows, start, stop), columns)
            return tf.nn.sparse_softmax_cross_entropy_with_logits(labels[:, start:stop], logits)

        def gradient(upstream: Any) -> Any:
            return _gradient(labels, scores, rows, columns, upstream)

        return _over_strips(of_strip, rows, scores.dtype, shape), gradient

    return losses(scores)


def upsampled_class_ids(scores, rows, columns):
    """The class with the highest score of every pixel of an upsampled score map: int32 (batch, height, width)."""
    if keras.backend.backend() != "tensorflow":
        return ops.cast(ops.argmax(_upsampled(scores, rows, columns), axis=-1), "int32")

    def of_strip(start: Any, stop: Any) -> Any:
        return tf.argmax(_upsampled(scores, _part(rows, start, stop), columns), -1, tf.int32)

    return _over_strips(of_strip, rows, tf.int32, (scores.shape[0], None, columns.low.shape[0]))


def _upsampled(scores, rows, columns):
    return _lines(_lines(scores, rows, axis=1), columns, axis=2)


def _lines(x, taps, axis):
    """Lines of a map interpolated along one axis."""
    weight = ops.reshape(ops.cast(taps.weight, x.dtype), [-1 if a == axis else 1 for a in range(4)])
    low, high = ops.take(x, taps.low, axis=axis), ops.take(x, taps.high, axis=axis)
    return low + (high - low) * weight


def _part(rows: Any, start: Any, stop: Any) -> Taps:
    return Taps(*(values[start:stop] for values in rows))


def _over_strips(
    of_strip: Callable[[Any, Any], Any], rows: Any, dtype: Any, shape: tuple[int | None, ...]
) -> Any:
    """The results (batch, strip, width) of the strips of rows, one after the other, put together."""
    height = tf.shape(rows.low)[0]
    results = tf.TensorArray(dtype, (height + STRIP - 1) // STRIP, infer_shape=False)

    def step(number: Any, results: Any) -> Any:
        start = number * STRIP
        strip = of_strip(start, tf.minimum(start + STRIP, height))
        return number + 1, results.write(number, tf.transpose(strip, (1, 0, 2)))

    def going_on(number: Any, _: object) -> Any:
        return number * STRIP < height

    results = tf.while_loop(going_on, step, (0, results), parallel_iterations=1)[1]
    return tf.ensure_shape(tf.transpose(results.concat(), (1, 0, 2)), shape)


def _gradient(labels, scores, rows, columns, upstream):
    """The gradient that reaches the scores: each strip's logits once more, and its own gradient shrunk back."""
    height, count = tf.shape(rows.low)[0], tf.shape(scores)[1]
    across = _shares(columns, tf.range(tf.shape(scores)[2]))

    def step(number: Any, total: Any) -> Any:
        start = number * STRIP
        part = _part(rows, start, tf.minimum(start + STRIP, height))
        true, weight = (values[:, start : start + STRIP] for values in (labels, upstream))
        probabilities = tf.nn.softmax(_upsampled(scores, part, columns))
        truth = tf.one_hot(true, scores.shape[-1], dtype=scores.dtype)
        strip = tf.einsum("kw,brwc->brkc", across, (probabilities - truth) * weight[..., None])
        # only the few source rows from the strip's first to its last
        first, last = part.low[0], part.high[-1] + 1
        added = tf.einsum("lr,brkc->blkc", _shares(part, tf.range(first, last)), strip)
        return number + 1, total + tf.pad(added, ((0, 0), (first, count - last), (0, 0), (0, 0)))

    def going_on(number: Any, _: object) -> Any:
        return number * STRIP < height

    return tf.while_loop(going_on, step, (0, tf.zeros_like(scores)), parallel_iterations=1)[1]


def _shares(taps: Any, lines: Any) -> Any:
    """How much of each upsampled line is each of some source lines: float32 (source lines, upsampled lines)."""
    lines = lines[:, None]
    low, high = tf.equal(lines, taps.low), tf.equal(lines, taps.high)
    return tf.where(low, 1 - taps.weight, 0) + tf.where(high, taps.weight, 0)
