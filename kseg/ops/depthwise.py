"""Depthwise convolution whose training step is quick on processors where it is dilated."""

import itertools
import math
from typing import Any, NamedTuple

import keras
from keras import ops

from kseg import checks
from kseg.ops.programs.fusion import compiled, training_graph

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

# TensorFlow's gradient of a kernel with more columns fills each channel's block up to 16 x 16.
COLUMNS = 3
# Below so many pixels a step has less to gain than XLA takes to compile it.
LEAST_PIXELS = 128
# Products of whole maps that cost about as much as splitting two maps into their phases.
PRODUCTS = 5.0


def depthwise_conv2d(x, kernel, strides=1, padding="same", rate=1):
    """Convolve each channel by a kernel of its own, as `keras.ops.depthwise_conv` does.

    Keras wraps a dilated convolution in SpaceToBatch and BatchToSpace, of as many small maps as the rate squared. In a
    training step of TensorFlow on a processor, in float32, with one filter a channel and on maps of 128 pixels or more,
    it is a sum of shifted maps here, in one pass; taps that meet nothing but padding are left out.

    Everything else is Keras's own operation: inference, exported graphs, other backends, GPUs, half precision.

    Args:
        x: tensor `(batch, height, width, channels)`.
        kernel: tensor `(rows, columns, channels, multiplier)`.
        strides: an integer or (vertical, horizontal).
        padding: "same" or "valid".
        rate: distance of neighbouring taps, likewise; more than 1 at stride 1 only.

    Returns:
        `(batch, rows, columns, channels * multiplier)`, equal to Keras's within rounding.

    Example:

    >>> x, kernel = np.ones((1, 9, 9, 2), "float32"), np.ones((3, 3, 2, 1), "float32")
    >>> kseg.ops.depthwise.depthwise_conv2d(x, kernel, rate=2).shape
    TensorShape([1, 9, 9, 2])
    """
    strides, rate = checks.pair(strides, "strides"), checks.pair(rate, "rate")
    spans = [(taps - 1) * r for taps, r in zip(kernel.shape[:2], rate, strict=True)]
    if not _pays(x, kernel, strides, padding, rate, spans):
        return ops.depthwise_conv(x, kernel, strides, padding, "channels_last", rate)
    x, kernel = tf.convert_to_tensor(x), tf.convert_to_tensor(kernel)
    same = padding == "same"
    return _dilated(x, kernel, rate, tuple((span // 2,) * 2 if same else (0, 0) for span in spans))


def _pays(x, kernel, strides, padding, rate, spans) -> bool:
    """Whether this is a training step that is written out here."""
    if rate == (1, 1) or strides != (1, 1) or not training_graph():
        return False
    if keras.backend.standardize_dtype(x.dtype) != "float32":
        return False
    sizes = x.shape[1:3]
    if None in sizes or kernel.shape[3] != 1 or kernel.shape[2] != x.shape[3]:
        return False
    if tf.config.list_physical_devices("GPU") or kernel.dtype != "float32":
        return False
    if math.prod(sizes) < LEAST_PIXELS:
        return False
    fits = padding == "same" or all(side > span for side, span in zip(sizes, spans, strict=True))
    return fits and (padding == "valid" or all(taps % 2 for taps in kernel.shape[:2]))


def _to_kernel(x, upstream, shape, margins):
    """The gradient of a kernel without dilation, a few columns at a time."""
    (above, below), (left, right) = margins
    rows, columns, channels, _ = shape
    parts, done = [], 0
    while done < columns:
        count = min(COLUMNS, columns)
        # Of the last columns some are computed twice: that costs no copy of the map.
        first = min(done, columns - count)
        before, after = left - first, right - (columns - count - first)
        part = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x[:, :, max(-before, 0) : x.shape[2] - max(-after, 0)],
            filter_sizes=[rows, count, channels, 1],
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding="EXPLICIT",
            explicit_paddings=[0, 0, above, below, max(before, 0), max(after, 0), 0, 0],
        )
        parts.append(part[:, done - first :])
        done = first + count
    return tf.concat(parts, axis=1)


def _dilated(x, kernel, rate, margins):
    """A dilated convolution after padding with zeros of `margins`; its gradient is made of another like it."""

    @tf.custom_gradient
    def convolve(x, kernel):
        axes = _axes(x, kernel.shape, rate, margins)

        def gradient(upstream: Any) -> Any:
            upstream = tf.ensure_shape(upstream, (None, *(axis.size for axis in axes), x.shape[3]))
            pairs = zip(axes, margins, strict=True)
            turned = tuple((axis.span - before, axis.span - after) for axis, (before, after) in pairs)
            to_input = _dilated(upstream, tf.reverse(kernel, [0, 1]), rate, turned)
            return to_input, _to_dilated_kernel(x, upstream, kernel.shape, axes)

        padded = tf.pad(x, [[0, 0], *(axis.zeros for axis in axes), [0, 0]])
        return compiled(_sum_of_shifted, *axes)(padded, kernel), gradient

    return convolve(x, kernel)


class _Tap(NamedTuple):
    """A row or column of taps that meets the map."""

    number: int
    offset: int  # what it reads at the result's place 0
    start: int  # the places of the result where it reads the map
    stop: int


class _Axis(NamedTuple):
    """One axis of a dilated convolution."""

    side: int  # of the map
    size: int  # of the result
    rate: int
    span: int  # from the first tap to the last
    before: int  # zeros ahead of the map
    taps: tuple[_Tap, ...]

    @property
    def zeros(self) -> tuple[int, int]:
        """Those that the taps which meet the map read, ahead of it and after it."""
        return max(-self.taps[0].offset, 0), max(self.size + self.taps[-1].offset - self.side, 0)


def _axes(x, shape, rate, margins) -> list[_Axis]:
    found = []
    for side, count, r, (before, after) in zip(x.shape[1:3], shape[:2], rate, margins, strict=True):
        span = (count - 1) * r
        size = side + before + after - span
        taps = [
            _Tap(tap, offset, max(-offset, 0), min(size, side - offset))
            for tap, offset in enumerate(range(-before, span - before + 1, r))
        ]
        taps = tuple(tap for tap in taps if tap.start < tap.stop)
        found.append(_Axis(side, size, r, span, before, taps))
    return found


def _sum_of_shifted(padded: Any, kernel: Any, rows: _Axis, columns: _Axis) -> Any:
    """Each tap's weights times what it reads of the map with its zeros, summed."""
    total = None
    for row, column in itertools.product(rows.taps, columns.taps):
        top, left = row.offset + rows.zeros[0], column.offset + columns.zeros[0]
        read = padded[:, top : top + rows.size, left : left + columns.size]
        term = read * kernel[row.number, column.number, :, 0]
        total = term if total is None else total + term
    return total


def _to_dilated_kernel(x, upstream, shape, axes):
    """The gradient of a dilated kernel: of its taps one by one, or of the phases of both maps."""
    products = math.prod(sum(tap.stop - tap.start for tap in axis.taps) / axis.size for axis in axes)
    if products > PRODUCTS and not any(axis.before % axis.rate for axis in axes):
        rate = [axis.rate for axis in axes]
        x, upstream = (
            tf.space_to_batch(
                one, rate, [(0, -side % r) for side, r in zip(one.shape[1:3], rate, strict=True)]
            )
            for one in (x, upstream)
        )
        margins = [
            (axis.before // axis.rate, size - side + count - 1 - axis.before // axis.rate)
            for axis, count, side, size in zip(axes, shape, x.shape[1:3], upstream.shape[1:3], strict=False)
        ]
        return _to_kernel(x, upstream, shape, margins)
    found, channels = {}, shape[2]
    for row, column in itertools.product(*(axis.taps for axis in axes)):
        read = x[:, row.start + row.offset : row.stop + row.offset]
        found[row.number, column.number] = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=read[:, :, column.start + column.offset : column.stop + column.offset],
            filter_sizes=[1, 1, channels, 1],
            out_backprop=upstream[:, row.start : row.stop, column.start : column.stop],
            strides=[1, 1, 1, 1],
            padding="VALID",
        )
    zeros = tf.zeros((1, 1, channels, 1))
    taps = [found.get(place, zeros) for place in itertools.product(range(shape[0]), range(shape[1]))]
    return tf.reshape(tf.concat(taps, axis=0), shape)
