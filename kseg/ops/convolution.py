"""Atrous (dilated) convolution as one operation of the graph, with gradients on every machine."""

from typing import Any

import keras
from keras import ops

from kseg import checks
from kseg.errors import SettingsError
from kseg.ops.programs.fusion import training_graph

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf


def atrous_conv2d(x, kernel, rate=1, padding="same"):
    """Convolve with `rate - 1` holes between the filter's taps, at stride 1.

    On TensorFlow `keras.ops.conv` wraps a dilated convolution in SpaceToBatch and BatchToSpace, which LiteRT
    keeps and which no BatchNormalization after it is folded into. This one stays one convolution in LiteRT and ONNX.
    TensorFlow's own gradient of that form raises an error on CPUs without oneDNN (ARM, macOS, older x86), so
    the gradient is written out here: another atrous convolution for the input, and one matrix product a tap
    for the kernel. With fewer filters than channels, as in DeepLab's score layers, two matrix products do it
    all.

    Args:
        x: tensor `(batch, height, width, channels)`.
        kernel: tensor `(rows, columns, channels, filters)`.
        rate: distance of neighbouring taps, an integer or (vertical, horizontal).
        padding: "same" or "valid".

    Returns:
        `(batch, height, width, filters)`, smaller by `rate * (taps - 1)` with "valid". Equal to
        `keras.ops.conv(..., dilation_rate=rate)`.

    Example:

    >>> x, kernel = np.ones((1, 9, 9, 2), "float32"), np.ones((3, 3, 2, 4), "float32")
    >>> kseg.ops.convolution.atrous_conv2d(x, kernel, rate=2).shape
    TensorShape([1, 9, 9, 4])
    """
    rate = checks.pair(rate, "rate")
    taps = tuple(kernel.shape[:2])
    checks.one_of(padding, "padding", ("same", "valid"))
    for size, k, r in zip(x.shape[1:3], taps, rate, strict=True):
        if padding == "valid" and size is not None and size < (k - 1) * r + 1:
            raise SettingsError(
                f"A filter of {k} taps at rate {r} spans {(k - 1) * r + 1} places and does not fit "
                f"a map of {size}: upsample the image or take padding='same'."
            )
    if keras.backend.backend() != "tensorflow":
        return ops.conv(x, kernel, 1, padding, "channels_last", rate)
    if rate == (1, 1) or x.shape[-1] != kernel.shape[2]:  # grouped convolutions are left to Keras
        return ops.conv(x, kernel, 1, padding, "channels_last", rate)
    # Zeros ahead of and after the map along the four axes.
    spans = [(k - 1) * r if padding == "same" else 0 for k, r in zip(taps, rate, strict=True)]
    margins = [[0, 0], *([span // 2, span - span // 2] for span in spans), [0, 0]]
    return _convolve(tf.convert_to_tensor(x), tf.convert_to_tensor(kernel), rate, margins)


def pointwise_conv2d(x, kernel):
    """Convolve by a 1x1 kernel at stride 1: at every place the same product of a matrix with the channels.

    In a training step of TensorFlow on a processor, in float32, both gradients are matrix products, of which there are
    faster ones than oneDNN's gradients of a convolution (that of the kernel: two thirds of the time). Everything else
    is Keras's own operation.

    Args:
        x: tensor `(batch, height, width, channels)`.
        kernel: tensor `(1, 1, channels, filters)`.

    Returns:
        `(batch, height, width, filters)`, that of `keras.ops.conv`.

    Example:

    >>> x, kernel = np.ones((1, 9, 9, 2), "float32"), np.ones((1, 1, 2, 4), "float32")
    >>> kseg.ops.convolution.pointwise_conv2d(x, kernel).shape
    TensorShape([1, 9, 9, 4])
    """
    if not training_graph() or {keras.backend.standardize_dtype(t.dtype) for t in (x, kernel)} != {"float32"}:
        return ops.conv(x, kernel, 1, "valid", "channels_last")
    if tf.config.list_physical_devices("GPU"):
        return ops.conv(x, kernel, 1, "valid", "channels_last")

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(upstream: Any) -> Any:
            matrix, flat = kernel[0, 0], tf.reshape(upstream, (-1, kernel.shape[3]))
            to_input = tf.reshape(tf.matmul(flat, matrix, transpose_b=True), tf.shape(x))
            places = tf.reshape(x, (-1, kernel.shape[2]))
            return to_input, tf.matmul(places, flat, transpose_a=True)[None, None]

        return tf.nn.conv2d(x, kernel, 1, "VALID"), gradient

    return convolve(tf.convert_to_tensor(x), tf.convert_to_tensor(kernel))


def _convolve(x, kernel, rate, margins):
    """One dilated convolution after padding with zeros of `margins`; its gradient is made of others like it."""

    @tf.custom_gradient
    def convolve(x, kernel):
        def gradient(upstream: Any) -> Any:
            if kernel.shape[3] < kernel.shape[2]:
                return _gradients_of_few_filters(x, kernel, upstream, rate, margins)
            seen = _products_per_tap(tf.pad(x, margins), upstream, kernel.shape, rate)
            turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
            return _convolve(upstream, turned, rate, _turned_margins(kernel, rate, margins)), seen

        # Not "SAME": with unknown sizes that becomes auto_pad in ONNX, which onnxruntime refuses.
        zeros = margins if any(map(any, margins)) else "VALID"
        return tf.nn.conv2d(x, kernel, 1, zeros, dilations=rate), gradient

    return convolve(x, kernel)


def _gradients_of_few_filters(x, kernel, upstream, rate, margins):
    """Both gradients from the upstream gradient as every tap gave it: two matrix products.

    What is moved about and copied once a tap has as many channels as there are filters. Moving the input
    instead took a fifth of the training step of DeepLab v2 on EfficientNet-Lite0 (672 channels, 11 filters).
    """
    rows, columns, channels, filters = kernel.shape
    height, width = _sizes(x)
    padded = tf.pad(upstream, _turned_margins(kernel, rate, margins))
    moved = []
    for i in range(rows):
        for j in range(columns):
            y, z = (rows - 1 - i) * rate[0], (columns - 1 - j) * rate[1]
            moved.append(padded[:, y : y + height, z : z + width])
    moved = tf.reshape(tf.concat(moved, axis=-1), (-1, rows * columns * filters))
    to_input = tf.matmul(
        moved, tf.reshape(tf.transpose(kernel, (0, 1, 3, 2)), (rows * columns * filters, channels))
    )
    to_kernel = tf.matmul(tf.reshape(x, (-1, channels)), moved, transpose_a=True)
    to_kernel = tf.transpose(tf.reshape(to_kernel, (channels, rows, columns, filters)), (1, 2, 0, 3))
    return tf.reshape(to_input, tf.shape(x)), to_kernel


def _sizes(x):
    """Height and width, numbers where they are known."""
    return tuple(tf.shape(x)[d] if x.shape[d] is None else x.shape[d] for d in (1, 2))


def _turned_margins(kernel: Any, rate: int | tuple[int, int], margins: Any) -> list[list[int]]:
    """The zeros around the upstream gradient with which the turned kernel covers every place of the input."""
    spans = [(k - 1) * r for k, r in zip(kernel.shape[:2], rate, strict=True)]
    rest = [[span - before, span - after] for span, (before, after) in zip(spans, margins[1:3], strict=True)]
    return [[0, 0], *rest, [0, 0]]


def _products_per_tap(x, upstream, shape, rate):
    """For every tap, the product of what it saw with the upstream gradient; the shape of the kernel."""
    height, width = _sizes(upstream)
    flat = tf.reshape(upstream, (-1, shape[3]))
    products = []
    for i in range(shape[0]):
        for j in range(shape[1]):
            y, z = i * rate[0], j * rate[1]
            seen = tf.reshape(x[:, y : y + height, z : z + width], (-1, shape[2]))
            products.append(tf.matmul(seen, flat, transpose_a=True))
    return tf.reshape(tf.stack(products), shape)
