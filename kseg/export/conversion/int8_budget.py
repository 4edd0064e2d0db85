"""int8 files within a budget of lost accuracy: the layers that int8 hurts most stay in float32, as few as will do."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.export.conversion.int8_graph import quantized
from kseg.export.conversion.rounding import rounded
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf

MEASURED = 4  # images on which the layers are ranked


class BudgetError(ModelError):
    """No int8 file holds its budget; the message says what is lost and what to do."""


@dataclass(frozen=True)
class Int8Budget:
    """What an int8 file loses, and which layers stay in float32 so that this is within a budget.

    Attributes:
        budget: what may be lost, 0-1.
        measure: of what: "mean IoU" on labelled images, else "pixels", the fraction that gets another class than
            in Keras.
        lost: by the file.
        lost_in_int8: with every layer in int8.
        float_layers: names of the layers that stay in float32.
        bytes: of the network in the file.
        int8_bytes: of the network with every layer in int8.
        larger_than_float16: whether so many weights stay in float32 that a float16 file would be smaller.

    Example:

    >>> print(kseg.export.Int8Budget(0.01, "mean IoU", 0.004, 0.12, ("score",), 1_050_000, 1_000_000))
    mean IoU lost 0.0040 of 0.0100 allowed (int8 alone 0.1200); in float32: score (+50,000 bytes)
    """

    budget: float
    measure: str
    lost: float
    lost_in_int8: float
    float_layers: tuple[str, ...]
    bytes: int
    int8_bytes: int
    larger_than_float16: bool = False

    def __str__(self) -> str:
        found = f"{self.measure} lost {self.lost:.4f} of {self.budget:.4f} allowed"
        if not self.float_layers:
            return f"{found}; every layer in int8"
        advice = "; a float16 file would be smaller" if self.larger_than_float16 else ""
        return (
            f"{found} (int8 alone {self.lost_in_int8:.4f}); in float32: {', '.join(self.float_layers)} "
            f"({self.bytes - self.int8_bytes:+,} bytes{advice})"
        )


def within_budget(
    calibrated: bytes,
    images: Sequence[np.ndarray],
    lost: Callable[[bytes], float],
    budget: float,
    measure: str,
    layers: Sequence[str],
) -> tuple[bytes, Int8Budget]:
    """The int8 file of a calibrated network, or, where that loses more than the budget, one with layers in float32.

    A map is as coarse as the step of its range. Left in float32 it helps only where the layer that makes it and
    those that read it are in float32 as well; so layers join in such groups, by the noise that int8 adds to their
    map, as few groups as hold the budget. Then each layer, the largest first, goes back to int8 where the budget
    still holds.

    Args:
        calibrated: the flatbuffer with the ranges of its maps.
        images: float32 (1, H, W, C), 0-255: weights are rounded for them; the first few rank the layers.
        lost: what a flatbuffer loses beside the Keras model.
        budget: what may be lost.
        measure: what `lost` counts, in words.
        layers: see `layer_names`.

    Raises:
        BudgetError: the budget needs every layer that has weights in float32.
    """
    operations, weights = _operations(calibrated), rounded(calibrated, images)

    def int8(kept: frozenset[str]) -> bytes:
        return quantized(calibrated, kept, weights)

    @cache
    def tried(kept: frozenset[str]) -> float:
        return lost(int8(kept))

    lost_in_int8, kept = tried(frozenset()), frozenset()
    if lost_in_int8 > budget:
        groups = _groups(operations, _noise(calibrated, images, operations))
        count = _fewest(lambda n: tried(frozenset().union(*groups[:n])) <= budget, len(groups))
        kept = frozenset().union(*groups[:count])
        for one in sorted(operations, key=lambda one: -one.weights):
            if one.name in kept and tried(kept - {one.name}) <= budget:
                kept -= {one.name}
    data, whole = int8(kept), int8(frozenset())
    names = tuple(dict.fromkeys(_layer_of(one.name, layers) for one in operations if one.name in kept))
    total = sum(one.weights for one in operations)
    in_float = sum(one.weights for one in operations if one.name in kept)
    if tried(kept) > budget or in_float == total > 0:
        raise BudgetError(
            f"int8 cannot hold the budget of {budget:.4f}: every layer in int8 loses {lost_in_int8:.4f} ({measure}), "
            "and what holds it has no weights in int8 any more. Take another precision (--precision float16), a larger "
            "budget (--int8-budget), or more calibration images"
        )
    larger = in_float > total / 3  # 4 bytes a weight for a third and 1 for the others are float16's 2
    return data, Int8Budget(
        budget, measure, tried(kept), lost_in_int8, names, len(data), len(whole), larger_than_float16=larger
    )


@dataclass(frozen=True)
class _Operation:
    """An operation of a flatbuffer: the names of its output and of the maps it reads, its weights in bytes."""

    name: str
    reads: tuple[str, ...]
    weights: int


def _operations(data: bytes) -> list[_Operation]:
    """The operations of a flatbuffer, in their order."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(data, 0)
    graph, kinds = model.Subgraphs(0), schema.BuiltinOperator
    weighted = {kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D, kinds.TRANSPOSE_CONV, kinds.FULLY_CONNECTED}

    def name(index: int) -> str:
        return graph.Tensors(index).Name().decode()

    def constant(index: int) -> int:
        return model.Buffers(graph.Tensors(index).Buffer()).DataLength()

    found = []
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        inputs = [int(index) for index in operator.InputsAsNumpy() if index >= 0]
        reads = tuple(name(index) for index in inputs if not constant(index))
        has_weights = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode() in weighted
        found.append(_Operation(name(operator.Outputs(0)), reads, has_weights * sum(map(constant, inputs))))
    return found


def _noise(
    calibrated: bytes, images: Sequence[np.ndarray], operations: Sequence[_Operation]
) -> dict[str, float]:
    """How much of each operation's map is noise of int8, 0-1: the mean over channels of error by variance.

    Weights are rounded to the nearest level here: others would be in the debugger's float32 network too, and it would
    see no error of theirs.
    """
    names, found = sorted((one.name for one in operations), key=len, reverse=True), {}
    with warnings.catch_warnings():  # LiteRT's interpreter, which tf.lite's says to use, cannot verify
        warnings.simplefilter("ignore", UserWarning)
        debugger = tf.lite.experimental.QuantizationDebugger(
            quant_debug_model_content=quantized(calibrated, (), verify=True),
            debug_dataset=lambda: ([image] for image in images[:MEASURED]),
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                layer_direct_compare_metrics={"noise": channel_noise}
            ),
        )
        debugger.run()
    for verified, statistics in debugger.layer_statistics.items():
        # "NumericVerify/", the map's name, digits that make it unique, ":" and a number
        verified = verified.removeprefix("NumericVerify/").rpartition(":")[0]
        name = next((one for one in names if re.fullmatch(re.escape(one) + r"\d*", verified)), None)
        if name is not None:
            found[name] = float(statistics["noise"])
    return found


def channel_noise(expected: np.ndarray, found: np.ndarray, scale: float, zero: int) -> float:
    """The mean over channels of squared error by variance, at most 1 each.

    A channel that is small beside the others of its map drowns in the map's step; this is seen here, and not in an
    error that is measured in steps.

    Args:
        expected: the map in float32, channels last.
        found: the map in int8.
        scale: the step.
        zero: the integer that stands for 0.
    """
    error = (found.astype(np.float32) - zero) * np.float32(scale) - expected
    others = tuple(range(expected.ndim - 1))
    variance, squared = expected.var(others), np.square(error).mean(others)
    used = variance > 0
    return float(np.minimum(1, squared[used] / variance[used]).mean()) if used.any() else 0.0


def _groups(operations: Sequence[_Operation], noise: dict[str, float]) -> list[frozenset[str]]:
    """For each map, the operation that makes it and those that read it, the noisiest map first."""
    ranked = sorted(operations, key=lambda one: -noise.get(one.name, 0.0))
    return [
        frozenset({made.name, *(one.name for one in operations if made.name in one.reads)}) for made in ranked
    ]


def _fewest(holds: Callable[[int], bool], most: int) -> int:
    """The smallest number up to `most` that holds, found by doubling and halving; `most` where none does."""
    low, high = 0, 1
    while high < most and not holds(high):
        low, high = high, 2 * high
    high = min(high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def layer_names(model: keras.Model) -> list[str]:
    """The names of a model's layers, nested ones too, those with kernels first, and again that of the output's."""
    layers = model._flatten_layers(include_self=False)
    layers = sorted(layers, key=lambda layer: not any(len(one.shape) > 1 for one in layer.weights))
    return [*(layer.name for layer in layers), model.outputs[0]._keras_history.operation.name]


def _layer_of(operation: str, layers: Sequence[str]) -> str:
    """The Keras layer of an operation, by the parts of its name; the last layer where it is the output.

    A convolution, its normalisation and its activation are one operation: the one with a kernel names it.
    """
    if operation.startswith("StatefulPartitionedCall"):
        return layers[-1]
    parts = re.split("[/;]", operation)
    either = {form for part in parts for form in (part, re.sub(r"_\d+$", "", part))}
    return next((layer for layer in layers if layer in either), operation)
