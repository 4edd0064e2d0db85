"""Batch normalisation folded into the convolution before it, while predicting."""

from __future__ import annotations

import inspect
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops

from kseg.layers import AtrousConv2D, BatchNormalization, Conv2D, DepthwiseConv2D

TRANSPOSED = {layers.Conv1DTranspose, layers.Conv2DTranspose}
DEPTHWISE = {layers.DepthwiseConv1D, layers.DepthwiseConv2D, DepthwiseConv2D}
SEPARABLE = {layers.SeparableConv1D, layers.SeparableConv2D}
CONVOLUTIONS = {layers.Conv2D, Conv2D}
LINEAR = {layers.Conv1D, *CONVOLUTIONS, layers.Dense, AtrousConv2D, *TRANSPOSED, *DEPTHWISE, *SEPARABLE}
NORMALIZATIONS = {layers.BatchNormalization, BatchNormalization}
# Weights of one filter. Multiplying a kernel costs about as much as normalising a map of so many places, which the
# deep maps of larger filters seldom have.
LARGEST_FILTER = 256


def folded_call(model: keras.Model, image: Any) -> Any:
    """Compute `model(image, training=False)` with batch normalisations folded into the convolutions before them.

    In inference a batch normalisation multiplies every channel by a factor and adds a number to it. The convolution
    does the same where its kernel is multiplied by that factor, and the maps are then read and written once less.
    The folded kernels are part of the computation, made of the variables' values of the moment: layers, weights and
    the model's own graph stay as they are, and nothing needs to be done when a model is trained on.

    A normalisation is folded where it alone reads the output of a convolution or a `Dense` layer without activation,
    in float32, and neither of the two is called again in that graph; filters of more than 256 weights are left alone,
    as multiplying them costs more than it saves. Nested models are gone through too. All else runs as it is, as does
    a whole model that is not a graph of layers (a subclass with a `call` of its own).

    Args:
        model: a Keras model.
        image: its input.

    Returns:
        The model's output, equal within rounding.

    Example:

    >>> image = keras.Input((None, None, 3))
    >>> maps = keras.layers.Conv2D(4, 3, use_bias=False)(image)
    >>> model = keras.Model(image, keras.layers.BatchNormalization()(maps))
    >>> images = np.ones((1, 8, 8, 3), "float32")
    >>> np.allclose(kseg.inference.folding.folded_call(model, images), model(images), atol=1e-5)
    True
    """
    graph = _graph(model)
    return model(image, training=False) if graph is None else _Folded(graph)(image, training=False)


def foldable(model: keras.Model) -> dict[layers.Layer, layers.Layer]:
    """The batch normalisation that is folded into each convolution, of a model that is a graph of layers."""
    nodes = [node for nodes in model._nodes_by_depth.values() for node in nodes]
    calls = Counter(id(node.operation) for node in nodes)
    readers = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    readers.update(id(tensor) for tensor in model.outputs)
    made_by = {id(tensor): node.operation for node in nodes for tensor in node.output_tensors}
    found = {}
    for node in nodes:
        normalization = node.operation
        plain = type(normalization) in NORMALIZATIONS and "call" not in vars(normalization)
        if not plain or normalization.dtype_policy.name != "float32":
            continue
        maps = node.input_tensors[0]
        layer = made_by.get(id(maps))
        once = readers[id(maps)] == calls[id(layer)] == calls[id(normalization)] == 1
        if once and normalization.axis in (-1, len(maps.shape) - 1) and _linear(layer):
            weights = math.prod(_kernel(layer).shape)
            if weights <= LARGEST_FILTER * maps.shape[-1]:
                found[layer] = normalization
    return found


def _graph(model: keras.Model) -> Any:
    """The graph of layers that a call of the model runs through; None where it has a `call` of its own."""
    if type(model) is keras.Sequential:
        model = getattr(model, "_functional", None)
    if not (hasattr(model, "_run_through_graph") and hasattr(model, "_standardize_inputs")):
        return None
    return model if getattr(model.call, "__qualname__", "") == "Functional.call" else None


class _Folded(layers.Layer):
    """A graph with its normalisations folded; a layer, so that layers within layers are told of `training`."""

    def __init__(self, graph: Any) -> None:
        super().__init__(name="folded", autocast=False)  # a name that begins a graph of TensorFlow's
        self.graph = graph

    def call(self, inputs, training=False):
        pairs = foldable(self.graph)
        normalizations = set(pairs.values())

        def run(operation: keras.Operation) -> Callable[..., Any]:
            if operation in normalizations:
                return lambda inputs, **_: inputs  # its convolution has done it
            if operation in pairs:
                return lambda inputs: _normalized(operation, pairs[operation], inputs)
            if not isinstance(operation, layers.Layer):
                return operation
            nested = _graph(operation)
            if nested is not None:
                return lambda inputs, **_: _Folded(nested)(inputs, training=False)
            if "training" not in inspect.signature(operation.call).parameters:
                return operation
            return lambda *args, **kwargs: operation(*args, **{**kwargs, "training": False})

        outputs = self.graph._run_through_graph(self.graph._standardize_inputs(inputs), operation_fn=run)
        return outputs[0] if isinstance(outputs, list | tuple) and len(outputs) == 1 else outputs


def _normalized(layer: Any, normalization: Any, x: Any) -> Any:
    """What both layers give, by a call of the first with other values of its variables."""
    factor = ops.rsqrt(normalization.moving_variance + normalization.epsilon)
    if normalization.scale:
        factor = factor * normalization.gamma
    shift = -normalization.moving_mean * factor
    if normalization.center:
        shift = shift + normalization.beta
    values = [(variable, variable.value) for variable in layer.variables]
    if layer.use_bias:
        values.append((layer.bias, layer.bias * factor + shift))
    kernel, of_filters = _kernel(layer), factor
    if type(layer) in TRANSPOSED:  # its last axis is that of the input
        of_filters = factor[:, None]
    elif type(layer) in DEPTHWISE:
        of_filters = ops.reshape(factor, kernel.shape[-2:])
    with keras.StatelessScope([*values, (kernel, kernel * of_filters)]):
        y = layer(x)
    return y if layer.use_bias else y + shift


def _kernel(layer: Any) -> keras.Variable:
    """The kernel that makes the layer's output."""
    return layer.pointwise_kernel if type(layer) in SEPARABLE else layer.kernel


def _linear(layer: Any) -> bool:
    """Whether the output is linear in the kernel, and made of it and the bias alone, in float32."""
    if type(layer) not in LINEAR or "call" in vars(layer):
        return False
    known = 1 + (type(layer) in SEPARABLE) + layer.use_bias  # LoRA and quantisation have more
    return (
        layer.activation in (None, keras.activations.linear)
        and getattr(layer, "data_format", "channels_last") == "channels_last"
        and layer.dtype_policy.name == "float32"
        and len(layer.variables) == known
    )
