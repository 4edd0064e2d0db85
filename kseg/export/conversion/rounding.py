"""Weights for int8, rounded up or down so that the errors of a convolution cancel on real images.

Rounded to the nearest level, the weights of a depthwise convolution, nine for each channel, move that channel's mean,
and every layer behind it sees another image. Here the bias takes the mean back, and each weight goes to the level above
or below it, so that the convolution's output varies less from that in float32.

References: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020 (the aim; here it is
reached by descent, one weight of each filter at a time); Nagel et al., "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019 (the bias).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kseg.export.conversion.flatbuffer import Flatbuffer
from kseg.ops.windows import pooling_axis

LEVELS = 127  # of the largest weight of a filter
IMAGES = 32  # at most
PIXELS = 512  # of an image's map, at most
PRODUCTS = 2**21  # of a convolution's covariances; with more, weights go to the nearest level


@dataclass(frozen=True)
class Rounded:
    """A convolution's weights on the levels of int8, still as float32, and its bias."""

    weights: np.ndarray
    bias: np.ndarray


def rounded(calibrated: bytes, images: Sequence[np.ndarray]) -> dict[str, Rounded]:
    """The weights and the bias of each convolution, by the name of its operation.

    Left out are those whose weights another operation reads too, and those that see or hold values that are no numbers.

    Args:
        calibrated: a flatbuffer with float32 weights.
        images: float32 (1, H, W, channels), what the network sees; at most 32 are looked at, evenly spaced.
    """
    graph = Flatbuffer(calibrated)
    seen = {graph.name(one.outputs[0]): _Seen(graph, one) for one in _convolutions(graph)}
    if not seen:
        return {}
    chosen = np.unique(np.linspace(0, len(images) - 1, IMAGES).round().astype(int))
    for maps in _runs(graph, [one.source for one in seen.values()], [images[number] for number in chosen]):
        for one in seen.values():
            one.add(maps(one.source))
    found = {name: one.rounded() for name, one in seen.items()}
    return {name: one for name, one in found.items() if one is not None}


def with_rounded(graph: Flatbuffer, found: Mapping[str, Rounded], kept: frozenset[str]) -> None:
    """Give the convolutions of a flatbuffer their rounded weights, but for those that stay in float32."""
    for operation in graph.operators:
        name = graph.name(operation.outputs[0])
        if name in found and name not in kept:
            weights, bias = (graph.name(index) for index in operation.inputs[1:3])
            operation.inputs = [
                operation.inputs[0],
                graph.add_constant(found[name].weights, f"{weights}_rounded"),
                graph.add_constant(found[name].bias, f"{bias}_corrected"),
            ]


def _convolutions(graph: Flatbuffer) -> Iterator[Any]:
    """Those with constant weights of their own; a bias may be shared, as the converter merges equal constants."""
    for operation in graph.operators:
        if graph.kind(operation) in ("CONV_2D", "DEPTHWISE_CONV_2D") and len(operation.inputs) == 3:
            own = graph.only_reader(operation.inputs[1]) is not None
            if own and all(graph.constant(index) is not None for index in operation.inputs[1:]):
                yield operation


def _runs(graph: Flatbuffer, maps: Sequence[int], images: Sequence[np.ndarray]) -> Iterator[Any]:
    """For each image a function from the index of a tensor among `maps` to its values.

    They become outputs: an interpreter that preserves all tensors keeps its convolutions' working memory as well.
    """
    from ai_edge_litert.interpreter import Interpreter

    graph.graph.outputs = sorted({*map(int, graph.graph.outputs), *maps} - {*map(int, graph.graph.inputs)})
    graph.model.signatureDefs = None
    interpreter = Interpreter(model_content=graph.packed())
    entry = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(entry, images[0].shape)
    interpreter.allocate_tensors()
    for image in images:
        interpreter.set_tensor(entry, image)
        interpreter.invoke()
        yield interpreter.get_tensor


class _Seen:
    """The mean and covariance of what the filters of a convolution are multiplied with.

    Filters that read the same channels are a group: all of a plain convolution, or those of a channel of a depthwise.
    """

    def __init__(self, graph: Flatbuffer, operation: Any) -> None:
        self.source, self.options = int(operation.inputs[0]), operation.builtinOptions
        self.weights, self.bias = (graph.constant(index) for index in operation.inputs[1:3])
        self.depthwise = graph.kind(operation) == "DEPTHWISE_CONV_2D"
        self.same = self.options.padding == graph.schema.Padding.SAME
        self.groups = graph.shape(self.source)[-1] // (1 if self.depthwise else self.weights.shape[-1])
        self.filters = self._filters()
        taps = self.filters.shape[-1]
        self.count, self.sums = 0, np.zeros((self.groups, taps))
        self.products = np.zeros((self.groups, taps, taps)) if self.groups * taps**2 <= PRODUCTS else None

    def _filters(self) -> np.ndarray:
        """The weights as (groups, filters of a group, weights of a filter), float64."""
        weights = self.weights.astype(np.float64)
        if self.depthwise:
            return weights.reshape(-1, self.groups, weights.shape[-1] // self.groups).transpose(1, 2, 0)
        return weights.reshape(self.groups, len(weights) // self.groups, -1)

    def _arranged(self, filters: np.ndarray) -> np.ndarray:
        """The inverse of `_filters`."""
        return (filters.transpose(2, 0, 1) if self.depthwise else filters).reshape(self.weights.shape)

    def add(self, maps: np.ndarray) -> None:
        """Add what the filters see in maps (batch, height, width, channels)."""
        if not np.isfinite(maps).all():
            self.sums[:] = np.nan
            return
        for values in maps:
            under = self._under(values)
            under = under.reshape(*under.shape[:3], self.groups, -1).transpose(3, 1, 2, 4, 0)
            under = under.reshape(self.groups, -1, under.shape[-1])  # groups, weights of a filter, pixels
            self.count += under.shape[-1]
            self.sums += under.sum(-1, dtype=np.float64)
            if self.products is not None:
                self.products += under @ under.transpose(0, 2, 1)

    def _under(self, values: np.ndarray) -> np.ndarray:
        """What lies under the filters: (pixels, rows, columns, channels), of some of the output's pixels."""
        options, lengths = self.options, self.weights.shape[1:3]
        strides = (options.strideH, options.strideW)
        holes = (options.dilationHFactor, options.dilationWFactor)
        reach = [(length - 1) * hole + 1 for length, hole in zip(lengths, holes, strict=True)]
        padding, sides = "same" if self.same else "valid", []
        for axis in map(pooling_axis, values.shape[:2], reach, strides, (padding, padding)):
            after = (axis.count - 1) * axis.stride + axis.window - axis.size - axis.before
            sides.append((axis.count, (axis.before, max(after, 0))))
        (height, above), (width, left) = sides
        padded = np.pad(values, (above, left, (0, 0)))
        pixels = np.arange(height * width)
        if len(pixels) > PIXELS:
            pixels = np.random.default_rng(0).choice(pixels, PIXELS, replace=False)
        rows, columns = (
            (place * stride)[:, None] + np.arange(length) * hole
            for place, stride, length, hole in zip(
                (pixels // width, pixels % width), strides, lengths, holes, strict=True
            )
        )
        return padded[rows[:, :, None], columns[:, None, :]]

    def rounded(self) -> Rounded | None:
        """None where a value is no number."""
        if not (np.isfinite(self.sums).all() and np.isfinite(self.weights).all()):
            return None
        largest = np.abs(self.filters).max(-1, keepdims=True)
        step = np.where(largest > 0, largest, 1) / LEVELS
        exact, mean = self.filters / step, self.sums / self.count
        levels = np.round(exact)
        if self.products is not None:
            covariance = self.products / self.count - mean[:, :, None] * mean[:, None]
            levels = descended(exact, levels, covariance)
        error = ((levels - exact) * step * mean[:, None]).sum(-1).reshape(-1)
        weights = self._arranged(levels * step)
        return Rounded(weights.astype(np.float32), (self.bias - error).astype(np.float32))


def descended(exact: np.ndarray, levels: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Levels beside the exact weights, moved one at a time as long as the output varies less from the exact one.

    A filter's largest weight, which decides how far its levels lie apart, and weights of 0 stay as they are. A weight
    goes up or down, and no further: it would pay for others on these images only.

    Args:
        exact: (groups, filters, weights), in levels.
        levels: whole numbers to start from, the nearest ones.
        covariance: (groups, weights, weights) of what the weights are multiplied with.
    """
    fixed = (exact == 0) | (np.abs(exact) == np.abs(exact).max(-1, keepdims=True))
    levels, slope = levels.copy(), (levels - exact) @ covariance
    curve = np.diagonal(covariance, axis1=1, axis2=2)[:, None]
    group, number = (place.reshape(-1) for place in np.indices(exact.shape[:2]))
    for _ in range(2 * exact.shape[-1]):
        here = slope[group, number]
        gain = 2 * np.abs(here) - curve[group, 0]  # by a move against the slope
        away = np.abs(levels[group, number] - np.sign(here) - exact[group, number])
        gain[fixed[group, number] | (away >= 1)] = 0
        best = gain.argmax(-1)
        better = gain[np.arange(len(best)), best] > 1e-9 * curve.max()
        group, number, best, here = group[better], number[better], best[better], here[better]
        if not len(best):
            break
        move = -np.sign(here[np.arange(len(best)), best])
        levels[group, number, best] += move
        slope[group, number] += move[:, None] * covariance[group, best]
    return levels
