"""A TFLite flatbuffer to read and to edit: its operations, their constants, and the range of each map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class Flatbuffer:
    """A flatbuffer whose main graph is edited.

    Weights are never changed in place, since layers may share them: `add_constant` adds others.

    Args:
        data: the flatbuffer, with float32 weights.
    """

    def __init__(self, data: bytes) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.kinds = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
        self.model = schema.ModelT.InitFromPackedBuf(data, 0)
        self.graph = self.model.subgraphs[0]

    @property
    def operators(self) -> list[Any]:
        return self.graph.operators

    @property
    def is_fixed(self) -> bool:
        signatures = [self.graph.tensors[index].shapeSignature for index in self.graph.inputs]
        return not any(signature is not None and -1 in signature for signature in signatures)

    def shifts_of_image(self) -> set[str]:
        """The names of operations that add a constant to the graph's input, or subtract one."""
        return {
            self.name(step.outputs[0])
            for step in self.operators
            if self.kind(step) in ("ADD", "SUB")
            and step.inputs[0] in self.graph.inputs
            and self.constant(step.inputs[1]) is not None
        }

    def kind(self, step: Any) -> str:
        return self.kinds[self.model.operatorCodes[step.opcodeIndex].builtinCode]

    def shape(self, index: int) -> tuple[int, ...]:
        shape = self.graph.tensors[index].shape
        return () if shape is None else tuple(int(side) for side in shape)

    def constant(self, index: int) -> np.ndarray | None:
        """The float32 values of a tensor that has some."""
        tensor = self.graph.tensors[index]
        data = self.model.buffers[tensor.buffer].data
        if data is None or not len(data) or tensor.type != self.schema.TensorType.FLOAT32:
            return None
        return np.asarray(data).view(np.float32).reshape(self.shape(index))

    def only_reader(self, index: int) -> Any:
        """The operation that reads a tensor, or None where there are several, or where the graph gives it."""
        readers = [step for step in self.operators if index in step.inputs]
        return readers[0] if len(readers) == 1 and index not in self.graph.outputs else None

    def limits(self, index: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The smallest and the largest value that calibration saw."""
        quantization = self.graph.tensors[index].quantization
        if quantization is None or quantization.min is None or quantization.max is None:
            return None
        return np.asarray(quantization.min), np.asarray(quantization.max)

    def add_constant(self, values: np.ndarray, name: str) -> int:
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        types = self.schema.TensorType
        kind = types.INT32 if values.dtype == np.int32 else types.FLOAT32
        return self._add(values.shape, kind, name, len(self.model.buffers) - 1)

    def add_map(self, shape: Sequence[int], like: int, name: str) -> int:
        """A tensor of another shape with the range of `like`."""
        index = self._add(shape, self.graph.tensors[like].type, name, 0)
        self.set_limits(index, *self.limits(like))
        return index

    def set_limits(self, index: int, low: np.ndarray, high: np.ndarray) -> None:
        quantization = self.schema.QuantizationParametersT()
        quantization.min, quantization.max = (np.asarray(one, np.float32).reshape(-1) for one in (low, high))
        self.graph.tensors[index].quantization = quantization

    def _add(self, shape: Sequence[int], kind: int, name: str, buffer: int) -> int:
        tensor = self.schema.TensorT()
        tensor.shape, tensor.type, tensor.name, tensor.buffer = list(shape), kind, name, buffer
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def reshape(self, given: int, made: int) -> Any:
        """An operation that gives the values of one map the shape of another; it is not in the graph yet."""
        schema, codes = self.schema, self.model.operatorCodes
        reshape = schema.BuiltinOperator.RESHAPE
        code = next((number for number, one in enumerate(codes) if one.builtinCode == reshape), len(codes))
        if code == len(codes):
            new = schema.OperatorCodeT()
            new.builtinCode = new.deprecatedBuiltinCode = reshape
            new.version = 1
            codes.append(new)
        step, shape = schema.OperatorT(), np.array(self.shape(made), np.int32)
        step.opcodeIndex, step.outputs = code, [made]
        step.inputs = [given, self.add_constant(shape, f"shape_of_{self.name(made)}")]
        step.builtinOptions, step.builtinOptionsType = (
            schema.ReshapeOptionsT(),
            schema.BuiltinOptions.ReshapeOptions,
        )
        step.builtinOptions.newShape = shape
        return step

    def name(self, index: int) -> str:
        name = self.graph.tensors[index].name
        return name.decode() if isinstance(name, bytes) else name

    def packed(self) -> bytes:
        import flatbuffers

        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
