"""What an exported file's values are, by the operation at the end of its graph: read once, when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Operations of TFLite and ONNX that only move, convert or interpolate values.
MOVING = {
    *("DEQUANTIZE", "QUANTIZE", "CAST", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SQUEEZE"),
    *("EXPAND_DIMS", "TRANSPOSE", "STRIDED_SLICE", "SLICE"),
    *("DequantizeLinear", "QuantizeLinear", "Cast", "Reshape", "Resize", "Upsample", "Squeeze", "Unsqueeze"),
    *("Transpose", "Slice", "Identity", "Flatten"),
}
PROBABILITIES = {"SOFTMAX", "LOGISTIC", "Softmax", "Sigmoid", "HardSigmoid"}
LABELS = {"ARG_MAX", "ArgMax"}
# What the file's own description calls its output.
DESCRIBED = {"logits": "logits", "probabilities": "probabilities", "class_ids": "labels", "mask": "labels"}


@dataclass(frozen=True)
class Step:
    """An operation by its name, and the tensors that it reads."""

    name: str
    inputs: Sequence[Any]


def output_kind(makers: Mapping[Any, Step], output: Any, metadata: Mapping[str, Any]) -> str:
    """What the values of a file's output are: "logits", "probabilities" or "labels".

    Args:
        makers: for each tensor, the operation that makes it.
        output: the tensor that the file gives.
        metadata: the file's own description; empty for a file of another program. A file that ends in a softmax
            or sigmoid gives probabilities, whatever an older description says.
    """
    tensor, seen = output, set()
    while (step := makers.get(tensor)) is not None and tensor not in seen:
        seen.add(tensor)
        if step.name in PROBABILITIES or _is_written_out_softmax(makers, step):
            return "probabilities"
        if step.name in LABELS:
            return "labels"
        if step.name not in MOVING:
            break
        tensor = step.inputs[0]
    return DESCRIBED.get(str(metadata.get("output")), "logits")


def _is_written_out_softmax(makers: Mapping[Any, Step], step: Step) -> bool:
    """exp(x) / sum(exp(x)), as some converters write it."""
    if step.name not in ("DIV", "Div"):
        return False
    above, below = (makers.get(one) for one in step.inputs)
    sums = ("SUM", "ReduceSum")
    return above is not None and below is not None and above.name in ("EXP", "Exp") and below.name in sums


def tflite_steps(model: Any, name_of: Callable[[Any], str]) -> tuple[dict[int, Step], int]:
    """The operations of a .tflite file's main graph by the tensor that each makes, and its first output."""
    graph = model.Subgraphs(0)
    makers = {}
    for position in range(graph.OperatorsLength()):
        operator = graph.Operators(position)
        name = name_of(model.OperatorCodes(operator.OpcodeIndex()))
        step = Step(name, [operator.Inputs(i) for i in range(operator.InputsLength())])
        makers.update({operator.Outputs(i): step for i in range(operator.OutputsLength())})
    return makers, graph.Outputs(0) if graph.OutputsLength() else -1


def onnx_steps(graph: Any) -> tuple[dict[str, Step], str]:
    """The operations of an ONNX graph by the tensor that each makes, and its first output."""
    makers = {name: Step(node.op_type, list(node.input)) for node in graph.node for name in node.output}
    return makers, graph.output[0].name
