"""What a model's graph ends in: a softmax, a sigmoid, class ids, or none of these."""

from __future__ import annotations

from typing import Any

import keras

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

Found = tuple[
    str | None, int | None
]  # "softmax", "sigmoid", "labels", "unknown" or None; classes of an argmax
LOGITS, UNKNOWN, INPUT = (None, None), ("unknown", None), ("input", None)

# Operations and layers of Keras, kseg and TensorFlow that only move, crop or interpolate values.
MOVING = {
    *(
        "Identity",
        "Dropout",
        "SpatialDropout2D",
        "Reshape",
        "Permute",
        "Resizing",
        "UpSampling2D",
        "Cropping2D",
    ),
    *(
        "CenterCrop",
        "AveragePooling2D",
        "ActivityRegularization",
        "Cast",
        "Resize",
        "Transpose",
        "ExpandDims",
    ),
    *(
        "Squeeze",
        "GetItem",
        "StopGradient",
        "Clip",
        "ResizeLike",
        "ZoomLike",
        "BilinearUpsampling",
        "Moveaxis",
    ),
    *(
        "StridedSlice",
        "ResizeBilinear",
        "ResizeNearestNeighbor",
        "ResizeArea",
        "IdentityN",
        "PreventGradient",
    ),
    *("Slice", "Swapaxes", "ClipByValue", "Copy", "ConvertToTensor"),
}
JOINING = {"Average", "Concatenate", "ConcatV2", "Concat"}
ARITHMETIC = {
    *(
        "Add",
        "AddV2",
        "Subtract",
        "Sub",
        "Multiply",
        "Mul",
        "Divide",
        "RealDiv",
        "TrueDivide",
        "Maximum",
        "Minimum",
    ),
    *("Power", "Pow", "Square", "Sqrt", "Rescaling", "Normalization", "Where", "SelectV2"),
}
ACTIVATIONS = {"softmax": "softmax", "sigmoid": "sigmoid", "hard_sigmoid": "sigmoid"}


def last_activation(model: keras.Model) -> Found:
    """What the values of a model's output are, by the operations at its end.

    Args:
        model: a Keras model with one output.

    Returns:
        "softmax" (over the channels), "sigmoid", "labels" (class ids of an argmax), "unknown" (operations that cannot
        be read) or None (anything else, such as logits); and the number of classes of an argmax, or None.
    """
    outputs = getattr(model, "outputs", None)
    if outputs and hasattr(outputs[0], "_keras_history"):
        return _of_keras(outputs[0])
    shape = (1, None, None, 3)
    found = (
        _of_traced(lambda x: model(x, training=False), [tf.TensorSpec(shape)]) if _traceable() else UNKNOWN
    )
    return LOGITS if found == INPUT else found


def _traceable() -> bool:
    return keras.backend.backend() == "tensorflow"


def _of_keras(tensor: Any) -> Found:
    """What a symbolic tensor's values are, by the operation that makes it and, where that moves them, its input."""
    operation, node_index, tensor_index = tensor._keras_history
    inputs = operation._inbound_nodes[node_index].input_tensors
    kind = type(operation).__name__
    if kind == "InputLayer":
        return INPUT
    if isinstance(operation, keras.Model) and getattr(operation, "outputs", None):
        found = _of_keras(keras.tree.flatten(operation.outputs)[tensor_index])
        return _of_keras(inputs[0]) if found == INPUT else found
    known = type(operation).__module__.split(".")[0] in ("keras", "kseg")
    if not known or kind == "Lambda":
        return _of_custom(operation, inputs)
    if kind in ("Softmax", "LogSoftmax", "Sigmoid", "HardSigmoid"):
        return _of_operation(operation, kind, len(tensor.shape))
    if kind in ("Argmax", "ArgMax"):
        return "labels", inputs[0].shape[-1]
    activation = getattr(operation, "activation", None)
    if activation is not None and activation is not keras.activations.linear:
        return _of_function(operation, activation, inputs, len(tensor.shape))
    if kind == "Activation" or kind in MOVING:
        return _of_keras(inputs[0])
    if kind in JOINING:
        return _joined([_of_keras(one) for one in inputs])
    if kind in ARITHMETIC:
        return _calculated([_of_keras(one) for one in inputs], kind, tensor)
    return LOGITS


def _of_operation(operation: Any, kind: str, rank: int) -> Found:
    if kind == "LogSoftmax":
        return LOGITS  # the softmax of log-probabilities are the probabilities
    if kind != "Softmax":
        return "sigmoid", None
    axis = getattr(operation, "axis", -1)
    axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    return ("softmax", None) if axis in (-1, rank - 1) else UNKNOWN


def _of_function(operation: Any, activation: Any, inputs: list, rank: int) -> Found:
    """What a layer gives by its `activation`, a function or a layer."""
    if isinstance(activation, keras.layers.Layer):
        kind = type(activation).__name__
        return _of_operation(activation, kind, rank) if kind == "Softmax" else LOGITS
    name = getattr(activation, "__name__", "")
    if name in ACTIVATIONS:
        return ACTIVATIONS[name], None
    module = getattr(activation, "__module__", "") or ""
    return LOGITS if module.startswith("keras") and name != "<lambda>" else _of_custom(operation, inputs)


def _joined(parts: list[Found]) -> Found:
    """Of maps that are averaged or set side by side."""
    kinds = {kind for kind, _ in parts}
    if kinds <= {None, "input"}:
        return LOGITS
    return parts[0] if len(kinds) == 1 else UNKNOWN


def _calculated(parts: list[Found], kind: str, tensor: Any) -> Found:
    """Of arithmetic: logits stay logits; 1 - p of a probability is one; anything else of one is not known."""
    kinds = {one for one, _ in parts}
    if kinds <= {None, "input"}:
        return LOGITS
    if kind in ("Subtract", "Sub") and kinds == {"sigmoid"} and len(parts) == 1:
        operation, node_index, _ = tensor._keras_history
        first = operation._inbound_nodes[node_index].arguments.args[0]
        return ("sigmoid", None) if isinstance(first, int | float) and first == 1 else UNKNOWN
    return UNKNOWN


def _of_custom(operation: Any, inputs: list) -> Found:
    """What a layer of the user's own gives, by the TensorFlow operations that it runs."""
    if not _traceable():
        return UNKNOWN
    specs = [tf.TensorSpec(one.shape, one.dtype) for one in inputs]
    call = operation if len(specs) == 1 else lambda *given: operation(list(given))
    found = _of_traced(call, specs)
    return _of_keras(inputs[0]) if found == INPUT else found


def _of_traced(function: Any, specs: list) -> Found:
    """What a function's TensorFlow graph ends in."""
    try:
        traced = tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
        outputs = [one for one in keras.tree.flatten(traced.structured_outputs) if one is not None]
        names = {one.name for one in traced.outputs}
        graph = traced.graph
    except Exception:  # a user's own code, which may raise anything
        return UNKNOWN
    if len(outputs) != 1 or not names:
        return UNKNOWN
    return _of_tensorflow(traced.outputs[0], graph)


def _of_tensorflow(tensor: Any, graph: Any) -> Found:
    operation = tensor.op
    kind = operation.type
    if kind == "Placeholder":
        return INPUT
    if kind in ("Softmax", "Sigmoid"):
        return kind.lower(), None
    if kind == "ArgMax":
        return "labels", operation.inputs[0].shape[-1]
    if kind in MOVING:
        return _of_tensorflow(operation.inputs[0], graph)
    if kind in JOINING:
        return _joined([_of_tensorflow(one, graph) for one in operation.inputs if one.shape.rank])
    if kind in ARITHMETIC:
        constants = [one for one in operation.inputs if one.op.type == "Const"]
        parts = [_of_tensorflow(one, graph) for one in operation.inputs if one.op.type != "Const"]
        one = [tf.get_static_value(c) for c in constants]
        if kind == "Sub" and parts == [("sigmoid", None)] and operation.inputs[0].op.type == "Const":
            return ("sigmoid", None) if one and (one[0] == 1).all() else UNKNOWN
        return _calculated(parts, "Add", None)
    if kind in ("PartitionedCall", "StatefulPartitionedCall"):
        return UNKNOWN
    return LOGITS
