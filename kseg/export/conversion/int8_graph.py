"""A calibrated network, rewritten so that int8 costs less, and quantised.

What a convolution costs in int8 is decided by its pixels and taps more than by its products: LiteRT's kernels fill up
the channels of each tap to 4, 8 or 64 and the outputs to 8, 16 or 64. `tools/speed/operations.py` shows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kseg.export.conversion.flatbuffer import Flatbuffer
from kseg.export.conversion.rounding import Rounded, with_rounded
from kseg.parts import tensorflow as tf

IMAGE_CHANNELS = 4  # at most
SIDE_BY_SIDE = 2  # outputs that are computed as one pixel
DELEGATED_CONCATENATION = 5  # maps that LiteRT's XNNPACK delegate concatenates at once


def quantized(
    calibrated: bytes,
    kept: Iterable[str] = (),
    weights: Mapping[str, Rounded] | None = None,
    verify: bool = False,
) -> bytes:
    """Quantise a flatbuffer to int8, of uint8 images; or of float32 images, for the debugger.

    The subtraction of the image's mean stays in float32: LiteRT's XNNPACK delegate makes floats of bytes, and int8 of
    floats, in a fraction of the time in which LiteRT makes int8 of bytes.

    Args:
        calibrated: a flatbuffer with float32 weights and the range of each map.
        kept: names of operations that stay in float32.
        weights: see `kseg.export.conversion.rounding.rounded`; None rounds each to the nearest level.
        verify: whether the file compares each map with float32, as tf.lite's QuantizationDebugger reads it.
    """
    from tensorflow.lite.python.convert import mlir_quantize  # as tf.lite's converter and debugger call it

    graph = Flatbuffer(calibrated)
    kept = {*kept, *graph.shifts_of_image()}
    if weights:
        with_rounded(graph, weights, frozenset(kept))
        calibrated = graph.packed()
    return mlir_quantize(
        calibrated,
        input_data_type=tf.float32 if verify else tf.uint8,
        denylisted_nodes=sorted(kept),
        enable_numeric_verify=verify,
    )


def cheaper(calibrated: bytes) -> bytes:
    """Rewrite a flatbuffer with float32 weights and the range of each map: the same sums, arranged otherwise.

    - An image's division by a deviation moves into the weights of the convolution that follows: one pass over the
      image less, and it keeps its 256 levels.
    - A convolution over an image with a stride takes several columns as one pixel of more channels.
    - More than five maps are concatenated in two steps, as LiteRT's XNNPACK delegate can.

    The last two need a fixed size.

    Args:
        calibrated: what TensorFlow's converter gives for `_experimental_calibrate_only`.

    Returns:
        The flatbuffer, with the same inputs and outputs.
    """
    graph = Flatbuffer(calibrated)
    for step in list(graph.operators):
        if graph.kind(step) == "MUL":
            scale_in_weights(graph, step)
    for step in list(graph.operators) if graph.is_fixed else []:
        if graph.kind(step) == "CONV_2D":
            join_columns(graph, step)
        elif graph.kind(step) == "CONCATENATION":
            concatenate_in_two(graph, step)
    return graph.packed()


def scale_in_weights(graph: Flatbuffer, multiply: Any) -> None:
    """x * a + b, then a convolution: x + b / a, and a in the convolution's weights. Zeros of a padding stay zeros."""
    given, scale, between = int(multiply.inputs[0]), graph.constant(multiply.inputs[1]), []
    step = graph.only_reader(multiply.outputs[0])
    while step is not None and graph.kind(step) in ("ADD", "PAD"):
        between.append(step)
        step = graph.only_reader(step.outputs[0])
    shifts = [one for one in between if graph.kind(one) == "ADD"]
    if step is None or graph.kind(step) != "CONV_2D" or any(map(_activation, (multiply, *shifts))):
        return
    weights, limits, channels = graph.constant(step.inputs[1]), graph.limits(given), graph.shape(given)[-1]
    values = [scale, weights, *(graph.constant(one.inputs[1]) for one in shifts)]
    if limits is None or channels > IMAGE_CHANNELS or any(one is None for one in values):
        return
    if np.any(scale <= 0) or any(one.size not in (1, channels) for one in [scale, *values[2:]]):
        return
    (low, high), last = limits, given
    for one in between:
        second = one.inputs[1]
        if one in shifts:
            moved = (graph.constant(second) / scale).astype(np.float32)
            low, high = low + np.min(moved), high + np.max(moved)
            second = graph.add_constant(moved, f"{graph.name(second)}_moved")
        low, high = np.minimum(low, 0), np.maximum(high, 0)
        one.inputs, last = [last, second], int(one.outputs[0])
        graph.set_limits(last, low, high)
    scaled = graph.add_constant(weights * scale.reshape(-1), f"{graph.name(step.inputs[1])}_scaled")
    step.inputs = [last, scaled, *step.inputs[2:]]
    graph.operators.remove(multiply)


def _activation(step: Any) -> int:
    return step.builtinOptions.fusedActivationFunction


def join_columns(graph: Flatbuffer, step: Any) -> None:
    """A strided convolution over an image: columns side by side as one pixel, and outputs side by side as well."""
    options, weights, bias = step.builtinOptions, *map(graph.constant, step.inputs[1:3])
    image, result = int(step.inputs[0]), int(step.outputs[0])
    if weights is None or bias is None or None in (graph.limits(image), graph.limits(result)):
        return
    (_, height, width, channels), (_, out_height, out_width, filters) = map(graph.shape, (image, result))
    stride, (_, rows, columns, _) = options.strideW, weights.shape
    joined = stride * SIDE_BY_SIDE
    taps = -(-(joined - stride + columns) // joined)
    same = options.padding == graph.schema.Padding.SAME
    left = max((out_width - 1) * stride + columns - width, 0) // 2 if same else 0
    fits = width % joined == 0 and out_width == SIDE_BY_SIDE * (
        width // joined - (0 if same else taps - 1)
    )  # what the new convolution gives
    if channels > IMAGE_CHANNELS or stride < 2 or options.dilationWFactor != 1 or not fits:
        return
    if left or (same and taps > 2):  # LiteRT would pad on the left too
        return
    arranged = np.zeros((SIDE_BY_SIDE, filters, rows, taps * joined, channels), np.float32)
    for output in range(SIDE_BY_SIDE):
        arranged[output, :, :, output * stride : output * stride + columns] = weights
    arranged = arranged.reshape(SIDE_BY_SIDE * filters, rows, taps, joined * channels)
    name = graph.name(result)
    narrow = graph.add_map((1, height, width // joined, joined * channels), image, f"{name}_columns")
    sides = (1, out_height, out_width // SIDE_BY_SIDE, SIDE_BY_SIDE * filters)
    wide = graph.add_map(sides, result, f"{name}_wide")
    place = graph.operators.index(step)
    step.inputs = [
        narrow,
        graph.add_constant(arranged, f"{name}_arranged"),
        graph.add_constant(np.tile(bias, SIDE_BY_SIDE), f"{name}_arranged_bias"),
    ]
    step.outputs, options.strideW = [wide], 1
    graph.operators.insert(place + 1, graph.reshape(wide, result))
    graph.operators.insert(place, graph.reshape(image, narrow))


def concatenate_in_two(graph: Flatbuffer, step: Any) -> None:
    """The first maps of many by a concatenation of their own."""
    rest = len(step.inputs) - DELEGATED_CONCATENATION
    axis, result = step.builtinOptions.axis, int(step.outputs[0])
    if not 0 < rest < DELEGATED_CONCATENATION or graph.limits(result) is None or _activation(step):
        return
    first, shape = [int(index) for index in step.inputs[: rest + 1]], list(graph.shape(result))
    shape[axis] = sum(graph.shape(index)[axis] for index in first)
    joined = graph.add_map(shape, result, f"{graph.name(result)}_first")
    before = graph.schema.OperatorT()
    before.opcodeIndex, before.inputs, before.outputs = step.opcodeIndex, first, [joined]
    before.builtinOptions, before.builtinOptionsType = step.builtinOptions, step.builtinOptionsType
    step.inputs = [joined, *step.inputs[rest + 1 :]]
    graph.operators.insert(graph.operators.index(step), before)
