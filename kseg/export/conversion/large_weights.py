"""Weights that are led round tf2onnx, which copies the whole graph before each of its two dozen optimisations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kseg.export.graph import output_of
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


LARGE = 2**25  # bytes of one weight


class LargeWeights:
    """The large weights of a model: inputs of the function that is converted, constants of the ONNX graph afterwards.

    Args:
        model: a built Keras model in float32 with one input and one output.

    Attributes:
        specs: the inputs that stand for them, for a `tf.function` with `logits`. Empty for most models.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._variables = [v for v in model.variables if 4 * int(np.prod(v.shape)) >= LARGE]
        self.specs = [
            tf.TensorSpec(v.shape, v.dtype, name=f"large_weight_{place}")
            for place, v in enumerate(self._variables)
        ]

    def logits(self, image: tf.Tensor, weights: Sequence[tf.Tensor]) -> tf.Tensor:
        """The model's output (float32) with tensors in place of its large weights."""
        given = {id(v): weight for v, weight in zip(self._variables, weights, strict=True)}
        groups = [
            [given.get(id(v), v.value) for v in group]
            for group in (self._model.trainable_variables, self._model.non_trainable_variables)
        ]

        def call(inputs: Any, training: bool) -> Any:
            return self._model.stateless_call(*groups, inputs, training=training)[0]

        return output_of(self._model, call)(image)

    def put_back(self, graph: Any) -> None:
        """Turn the graph's inputs that stand for weights into constants, the order of their axes with them."""
        for spec, variable in zip(self.specs, self._variables, strict=True):
            entry = next(given for given in graph.input if given.name.split(":")[0] == spec.name)
            readers = [node for node in graph.node if entry.name in node.input]
            turned = [node for node in readers if node.op_type == "Transpose"]
            for node in turned:  # ONNX wants (out, in, height, width)
                axes = next(list(a.ints) for a in node.attribute if a.name == "perm")
                _constant(graph, node.output[0], np.asarray(variable).transpose(axes))
                graph.node.remove(node)
            if len(turned) < len(readers):
                _constant(graph, entry.name, np.asarray(variable))
            graph.input.remove(entry)


def _constant(graph: Any, name: str, value: np.ndarray) -> None:
    """Add an initializer; in place, as copying a message of half a gigabyte would take that much again."""
    from onnx import helper

    tensor = graph.initializer.add()
    tensor.name, tensor.data_type = name, helper.np_dtype_to_tensor_dtype(value.dtype)
    tensor.dims.extend(value.shape)
    tensor.raw_data = value.tobytes()
