"""Exported files in their own runtimes, all called alike: images in, logits or class ids out."""

from __future__ import annotations

import os
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ModelError, SettingsError
from kseg.export.metadata import read_metadata


class TFLite:
    """A .tflite file in LiteRT.

    Args:
        path: the file.
        threads: number of threads; None takes one a core.

    Call it with images (B, H, W, channels), numbers 0-255: gives logits float32 (B, H, W, classes), or class
    ids (B, H, W). Quantised inputs and outputs are converted. ``operations`` counts the operations by name,
    those that are not builtin as ``CUSTOM:name``.
    """

    format = "tflite"

    def __init__(self, path: str | Path, threads: int | None = None):
        from ai_edge_litert.interpreter import Interpreter

        self.path, self.metadata = Path(path), read_metadata(path)
        self.operations = tflite_operations(self.path)
        try:
            self._interpreter = Interpreter(str(path), num_threads=threads or os.cpu_count())
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"{path}: LiteRT cannot run this file: {str(error).splitlines()[0][:200]}"
            ) from error

    @property
    def size(self) -> tuple[int, int] | None:
        """The fixed (height, width), or None where any goes in."""
        return _fixed(self._interpreter.get_input_details()[0]["shape_signature"])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        signature = self._interpreter.get_input_details()[0]["shape_signature"]
        images = _fitting(images, (None, *signature[1:]), self.path)
        return np.concatenate([self._run(image[None]) for image in images])

    def _run(self, image: np.ndarray) -> np.ndarray:
        entry = self._interpreter.get_input_details()[0]
        if tuple(entry["shape"]) != image.shape:
            try:
                self._interpreter.resize_tensor_input(entry["index"], image.shape, strict=True)
                self._interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                raise ModelError(f"{self.path} cannot run on images {image.shape}: {error}") from error
        self._interpreter.set_tensor(entry["index"], _quantised(image, entry))
        self._interpreter.invoke()
        result = self._interpreter.get_output_details()[0]
        return _dequantised(self._interpreter.get_tensor(result["index"]), result)


def _fixed(shape: Any) -> tuple[int, int] | None:
    """(height, width) of a shape (batch, height, width, channels), where both are known."""
    sides = tuple(shape)[1:3]
    known = all(isinstance(side, int | np.integer) and side > 0 for side in sides)
    return (int(sides[0]), int(sides[1])) if known else None


def _fitting(images: Any, shape: Sequence[Any], path: Path) -> np.ndarray:
    """The images as an array; ModelError where a file takes others. A side that is no number above 0 is free."""
    images = np.asarray(images)
    sides = [int(s) if isinstance(s, int | np.integer) and s > 0 else None for s in shape]
    fits = images.ndim == len(sides) and 0 not in images.shape and images.dtype.kind in "uif"
    if not fits or any(own not in (None, s) for own, s in zip(sides, images.shape, strict=True)):
        takes = ", ".join("any" if side is None else str(side) for side in sides)
        raise ModelError(f"{path} takes images ({takes}) of numbers, got {images.dtype} {images.shape}")
    return images


def _quantised(image: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    dtype = np.dtype(details["dtype"])
    if dtype.kind == "f":
        return image.astype(dtype)
    values = image / scale + zero if scale else image
    limits = np.iinfo(dtype)
    return np.clip(np.round(values), limits.min, limits.max).astype(dtype)


def _dequantised(output: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    scale, zero = details["quantization"]
    return (output.astype(np.float32) - zero) * np.float32(scale) if scale else output


def tflite_operations(path: Path) -> Counter[str]:
    """How often each operation occurs in a .tflite file, over all of its subgraphs."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    data = path.read_bytes()
    if data[4:8] != b"TFL3":
        raise ModelError(f"{path}: not a TFLite file")
    try:
        return _counted(schema.Model.GetRootAs(data, 0), names)
    except (struct.error, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"{path}: a damaged TFLite file; export or download it again") from error


def _counted(model: Any, names: dict[int, str]) -> Counter[str]:
    found = Counter()
    for number in range(model.SubgraphsLength()):
        graph = model.Subgraphs(number)
        for position in range(graph.OperatorsLength()):
            code = model.OperatorCodes(graph.Operators(position).OpcodeIndex())
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            custom = code.CustomCode()
            found[f"CUSTOM:{custom.decode()}" if custom else names.get(builtin, str(builtin))] += 1
    return found


class ONNX:
    """An .onnx file in onnxruntime, called like ``TFLite``. ``operations`` counts the nodes by type.

    Raises:
        SettingsError: onnxruntime is not installed.
    """

    format = "onnx"

    def __init__(self, path: str | Path, threads: int | None = None):
        import onnx

        try:
            import onnxruntime
        except ImportError as error:
            raise SettingsError("Running an ONNX file needs onnxruntime: pip install onnxruntime") from error
        self.path, self.metadata = Path(path), read_metadata(path)
        self.operations = Counter(node.op_type for node in onnx.load(path).graph.node)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has its own kinds
            raise ModelError(f"{path}: onnxruntime refuses it: {str(error).splitlines()[0][:200]}") from error
        self._input = self._session.get_inputs()[0].name

    @property
    def size(self) -> tuple[int, int] | None:
        """The fixed (height, width), or None where any goes in."""
        return _fixed(self._session.get_inputs()[0].shape)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        images = _fitting(images, self._session.get_inputs()[0].shape, self.path)
        return self._session.run(None, {self._input: images.astype(np.float32)})[0]


class SavedModel:
    """A SavedModel's version folder through `tf.saved_model.load`, called like ``TFLite``.

    ``operations`` counts the operations of `serving_default`.
    """

    format = "saved_model"

    def __init__(self, path: str | Path, threads: int | None = None):
        import tensorflow as tf

        self.path, self.metadata = Path(path), read_metadata(path)
        try:
            self.loaded = tf.saved_model.load(str(path))
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{path}: TensorFlow cannot load it: {str(error).splitlines()[0][:200]}"
            ) from error
        if "serving_default" not in self.loaded.signatures:
            raise ModelError(f"{path}: no signature serving_default; it has {sorted(self.loaded.signatures)}")
        self._function = self.loaded.signatures["serving_default"]
        definition = self._function.graph.as_graph_def()
        bodies = [definition.node, *(body.node_def for body in definition.library.function)]
        self.operations = Counter(node.op for nodes in bodies for node in nodes)
        (self._name, self._spec), *_ = self._function.structured_input_signature[1].items()

    @property
    def size(self) -> tuple[int, int] | None:
        """The fixed (height, width), or None where any goes in."""
        return _fixed(self._spec.shape.as_list())

    def __call__(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        images = _fitting(images, self._spec.shape.as_list(), self.path)
        outputs = self._function(**{self._name: tf.cast(images, self._spec.dtype)})
        return (outputs["mask"] if "mask" in outputs else next(iter(outputs.values()))).numpy()


def load(path: str | Path, threads: int | None = None) -> TFLite | ONNX | SavedModel:
    """An exported model in its own runtime, by its ending: .tflite, .onnx, or a SavedModel's folder.

    Raises:
        ModelError: no such file, or none that the runtime can run.
    """
    path = Path(path)
    if not path.exists():
        raise ModelError(f"{path}: no such exported model")
    if path.is_dir():
        return SavedModel(path, threads)
    if path.suffix not in (".tflite", ".onnx"):
        raise ModelError(f"{path}: expected a .tflite or .onnx file, or a SavedModel's version folder")
    return (TFLite if path.suffix == ".tflite" else ONNX)(path, threads)
