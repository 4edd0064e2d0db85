"""`TFLite`: a .tflite file in LiteRT, which needs neither TensorFlow nor Keras."""

from __future__ import annotations

import os
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError, SettingsError
from kseg.export.formats.description import of_zip
from kseg.export.runtimes.frames import Frames, fitting, fixed_size, pixel_table
from kseg.export.runtimes.last_operation import output_kind, tflite_steps
from kseg.io.untrusted import source_of

DEFAULT_SIZE = (256, 256)  # of files that leave it open


class TFLite:
    """A .tflite file in LiteRT.

    Args:
        path: the file.
        threads: number of threads; None takes one per core.

    Call it with images (B, H, W, channels), numbers 0-255: gives float32 (B, H, W, classes), or class ids
    (B, H, W). Quantised inputs and outputs are converted.

    Attributes:
        size: the fixed (height, width), or None where any goes in.
        output: what the values are, "logits", "probabilities" or "labels".
        operations: how often each operation occurs, those that are not builtin as `CUSTOM:name`.
        metadata: what `kseg.export.read_metadata` reads.

    Raises:
        ModelError: a file that LiteRT cannot run.
    """

    format = "tflite"

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.path, self.metadata = Path(path), of_zip(path)
        self.operations, self.output = _read(self.path, self.metadata)
        try:
            source = source_of(path)
            kind = "model_content" if isinstance(source, bytes) else "model_path"
            self._interpreter = Interpreter(**{kind: source}, num_threads=threads or os.cpu_count())
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            foreign = [name.removeprefix("CUSTOM:") for name in self.operations if name.startswith("CUSTOM:")]
            if foreign:
                raise ModelError(
                    f"{path}: LiteRT does not know its operations {', '.join(sorted(foreign))}: export the model "
                    "with builtin operations only"
                ) from error
            raise ModelError(
                f"{path}: LiteRT cannot run this file: {str(error).splitlines()[0][:200]}"
            ) from error
        result = self._interpreter.get_output_details()[0]
        if np.dtype(result["dtype"]).kind in "iub" and not result["quantization"][0]:
            self.output = "labels"

    @property
    def size(self) -> tuple[int, int] | None:
        return fixed_size(self._interpreter.get_input_details()[0]["shape_signature"])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        signature = self._interpreter.get_input_details()[0]["shape_signature"]
        images = fitting(images, (None, *signature[1:]), self.path)
        outputs = []
        for image in images:
            entry, pixels = self._interpreter.get_input_details()[0], image[None]
            if tuple(entry["shape"]) != pixels.shape:
                try:
                    self._interpreter.resize_tensor_input(entry["index"], pixels.shape, strict=True)
                    self._interpreter.allocate_tensors()
                except (ValueError, RuntimeError) as error:
                    raise ModelError(f"{self.path} cannot run on images {pixels.shape}: {error}") from error
            (scale, zero), dtype = entry["quantization"], np.dtype(entry["dtype"])
            if dtype.kind != "f":
                limits = np.iinfo(dtype)
                values = pixels / scale + zero if scale else pixels
                pixels = np.clip(np.round(values), limits.min, limits.max)
            self._interpreter.set_tensor(entry["index"], pixels.astype(dtype))
            self._interpreter.invoke()
            result = self._interpreter.get_output_details()[0]
            outputs.append(_dequantised(self._interpreter.get_tensor(result["index"]), result))
        return np.concatenate(outputs)

    def frames(self, values: str | None = None, size: tuple[int, int] | None = None) -> Frames:
        """The file ready for RGB images one by one.

        Args:
            values: what a foreign float input takes, one of `RANGES`; None: -1..1, or 0..255 for kseg's own.
            size: (height, width), where the file leaves it open.

        Raises:
            ModelError: a file that does not take one RGB image.
        """
        entries, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(entries) != 1 or len(entries[0]["shape"]) != 4 or entries[0]["shape"][-1] != 3:
            shapes = [tuple(int(v) for v in entry["shape"]) for entry in entries]
            raise ModelError(f"{self.path}: takes {shapes}; expected one input (1, height, width, 3)")
        interpreter, entry, result = self._interpreter, entries[0], outputs[0]
        if self.size is None or entry["shape"][0] != 1:
            interpreter.resize_tensor_input(entry["index"], (1, *(self.size or size or DEFAULT_SIZE), 3))
            interpreter.allocate_tensors()
        values = values or ("0..255" if self.metadata else None)
        if (
            values not in (None, "0..255")
            and np.dtype(entry["dtype"]).kind != "f"
            and not entry["quantization"][0]
        ):
            raise SettingsError(
                f"--input-range {values}: {self.path} takes {np.dtype(entry['dtype'])} without a scale, that is 0..255"
            )
        table = pixel_table(np.dtype(entry["dtype"]), entry["quantization"], values)

        def run(image: np.ndarray) -> np.ndarray:
            interpreter.set_tensor(entry["index"], (image if table is None else table.take(image))[None])
            interpreter.invoke()
            output = interpreter.get_tensor(result["index"])
            return _dequantised(output[0] if output.ndim else output, result)

        names, palette = self.metadata.get("classes"), self.metadata.get("palette")
        return Frames(run, self.size, self.output, names, palette)


def _dequantised(output: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    return (output.astype(np.float32) - zero) * np.float32(scale) if scale else output


def tflite_operations(path: Path) -> Counter[str]:
    """How often each operation occurs in a .tflite file, over all of its subgraphs."""
    return _read(path, {})[0]


def _read(path: Path, metadata: dict[str, Any]) -> tuple[Counter[str], str]:
    """The operations of a .tflite file, and what its values are."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}

    def name_of(code: Any) -> str:
        if custom := code.CustomCode():
            return f"CUSTOM:{custom.decode()}"
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        return names.get(builtin, str(builtin))

    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise ModelError(f"{path}: not a TFLite file")
    try:
        model = schema.Model.GetRootAs(data, 0)
        graphs = [model.Subgraphs(number) for number in range(model.SubgraphsLength())]
        operators = [graph.Operators(i) for graph in graphs for i in range(graph.OperatorsLength())]
        found = Counter(name_of(model.OperatorCodes(one.OpcodeIndex())) for one in operators)
        return found, output_kind(*tflite_steps(model, name_of), metadata)
    except (struct.error, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: a damaged TFLite file; export or download it again") from error
