"""`read_frozen_graph`: the weights in a TensorFlow graph that was frozen (`frozen_inference_graph.pb`)."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError
from kseg.weights.reading.protobuf import CHUNK, FIXED32, VARINT, Message, tensor_shape
from kseg.weights.reading.views import MAX_ARRAYS, check_total, mapped

# Fields: GraphDef's nodes; a node's name, operation and attributes; an attribute's key and value; a value's tensor; a
# tensor's type, shape, bytes and floats.
_NODE, _NAME, _OPERATION, _ATTRIBUTE, _KEY, _VALUE, _TENSOR = 1, 1, 2, 5, 1, 2, 8
_TYPE, _SHAPE, _BYTES, _FLOATS = 1, 2, 4, 5
_FLOAT32 = 1
# What slim calls its variables; other constants are sizes and settings of operations.
_VARIABLES = ("weights", "biases", "gamma", "beta", "moving_mean", "moving_variance")


def read_frozen_graph(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The constants of a frozen graph that were variables, as views of the mapped file. The graph is not run.

    Returns:
        Arrays by the name of the variable, such as "MobilenetV2/Conv/weights". And an empty dict.

    Raises:
        ModelError: not such a file, a damaged one, or one whose constants disagree with their shapes.
    """
    arrays: dict[str, np.ndarray] = {}
    with mapped(path) as content:
        whole = Message(content, 0, len(content), f"{path}: not a frozen TensorFlow graph, or a damaged one")
        for _, wire, node in whole.fields(_NODE):
            name, operation, attributes = "", "", []
            for field, kind, value in node.fields(_NAME, _OPERATION, _ATTRIBUTE) if wire == CHUNK else ():
                if kind == CHUNK and field == _ATTRIBUTE:
                    attributes.append(value)
                elif kind == CHUNK:
                    name, operation = (value.text(), operation) if field == _NAME else (name, value.text())
            if operation != "Const" or not name.rpartition("/")[2].endswith(_VARIABLES):
                continue
            tensors = [tensor for attribute in attributes for tensor in _tensors(attribute)]
            if len(tensors) != 1 or name in arrays or len(arrays) >= MAX_ARRAYS:
                raise ModelError(f"{whole.what}: {name[:60]!r} has no tensor, or more than one")
            array = _array(tensors[0], f"{path}: the constant {name[:60]!r}")
            if array is not None:
                arrays[name] = array
        if not arrays:
            raise ModelError(f"{path}: not a frozen TensorFlow graph with slim's weights")
        check_total(arrays.values(), len(content), path)
    return arrays, {}


def _tensors(attribute: Message) -> list[Message]:
    """The tensor of an attribute called "value"."""
    key, found = "", []
    for field, wire, value in attribute.fields(_KEY, _VALUE):
        if wire == CHUNK and field == _KEY:
            key = value.text()
        elif wire == CHUNK:
            found += [tensor for _, kind, tensor in value.fields(_TENSOR) if kind == CHUNK]
    return found if key == "value" else []


def _array(tensor: Message, what: str) -> np.ndarray | None:
    """The numbers of a float32 tensor; None of another kind."""
    dtype, shape, numbers = None, [], np.zeros(0, "f4")
    for field, wire, value in tensor.fields(_TYPE, _SHAPE, _BYTES, _FLOATS):
        if field == _TYPE and wire == VARINT:
            dtype = value
        elif field == _SHAPE and wire == CHUNK:
            shape = tensor_shape(value)
        elif (field == _BYTES and wire == CHUNK) or (field == _FLOATS and wire in (CHUNK, FIXED32)):
            if dtype not in (None, _FLOAT32):
                return None
            numbers = value.numbers("<f4", tagged=wire == FIXED32)
    if dtype != _FLOAT32:
        return None
    count = math.prod(shape)
    if numbers.size == 1 and 1 < count <= 1 << 16:  # one number that stands for all
        return np.full(shape, numbers[0])
    if len(shape) > 16 or not numbers.size or count != numbers.size:
        raise ModelError(f"{what} has the shape {tuple(shape[:16])} and {numbers.size:,} numbers; nothing was loaded")
    return numbers.reshape(shape)
