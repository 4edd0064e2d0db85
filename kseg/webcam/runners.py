"""Model files in their runtimes, called alike: one RGB picture in, the raw output out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kseg.errors import ModelError, SettingsError

RANGES = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}
ONNX_TYPES = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}
DEFAULT_SIZE = (256, 256)


class Runner(Protocol):
    """Runs one picture, RGB uint8 (height, width, 3); gives the raw output without its batch."""

    size: tuple[int, int] | None
    names: Sequence[str] | None
    palette: Sequence[Sequence[int]] | None
    kind: str

    def __call__(self, image: np.ndarray) -> np.ndarray: ...


class KerasRunner:
    """A .keras file as a compiled graph."""

    kind = "keras"

    def __init__(self, path: Path, threads: int | None, values: str | None = None):
        from kseg.inference.forward import Forward, limit_threads
        from kseg.models import load as load_keras

        if threads is not None:
            limit_threads(threads)
        model = load_keras(path)
        self.names, self.palette = getattr(model, "classes", None), getattr(model, "palette", None)
        fixed = model.inputs[0].shape[1:3]
        self.size = None if None in fixed else tuple(fixed)
        self.working_size = self.size or getattr(model, "working_size", None)
        self._forward, self._range = Forward(model), RANGES[values or "0..255"]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self._forward.run(_scaled(image[None], self._range))[0]


class TFLiteRunner:
    """A .tflite file in LiteRT; floats are scaled, quantised inputs take the pixels as they are."""

    kind = "tflite"

    def __init__(self, path: Path, threads: int | None, values: str | None, size: tuple[int, int] | None):
        runtime = _opened(path, threads)
        self._interpreter, metadata = runtime._interpreter, runtime.metadata
        self.names, self.palette = metadata.get("classes"), metadata.get("palette")
        entries, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(entries) != 1 or len(entries[0]["shape"]) != 4 or entries[0]["shape"][-1] != 3:
            shapes = [tuple(int(v) for v in entry["shape"]) for entry in entries]
            raise ModelError(f"{path}: takes {shapes}; expected one input (1, height, width, 3)")
        self._entry, self._output = entries[0], outputs[0]
        self.size = runtime.size
        if self.size is None or self._entry["shape"][0] != 1:
            sides = self.size or size or DEFAULT_SIZE
            self._interpreter.resize_tensor_input(self._entry["index"], (1, *sides, 3))
            self._interpreter.allocate_tensors()
        values = values or ("0..255" if metadata else None)
        dtype, quantization = np.dtype(self._entry["dtype"]), self._entry["quantization"]
        if values not in (None, "0..255") and dtype.kind != "f" and not quantization[0]:
            raise SettingsError(f"--input-range {values}: {path} takes {dtype} without a scale, that is 0..255")
        self._pixels = _pixels(dtype, quantization, values)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = image if self._pixels is None else self._pixels.take(image)
        self._interpreter.set_tensor(self._entry["index"], pixels[None])
        self._interpreter.invoke()
        output = self._interpreter.get_tensor(self._output["index"])
        output = output[0] if output.ndim else output
        scale, zero = self._output["quantization"]
        return (output.astype(np.float32) - zero) * np.float32(scale) if scale else output


def _opened(path: Path, threads: int | None) -> Any:
    """The file in LiteRT; a ModelError names the operations that it does not know."""
    from kseg.export.runtime import TFLite, tflite_operations

    try:
        return TFLite(path, threads)
    except ModelError as error:
        foreign = (
            [name.removeprefix("CUSTOM:") for name in tflite_operations(path) if name.startswith("CUSTOM:")]
            if path.read_bytes()[4:8] == b"TFL3"
            else []
        )
        if not foreign:
            raise
        raise ModelError(
            f"{path}: LiteRT does not know its operations {', '.join(sorted(foreign))}: export the model with "
            "builtin operations only"
        ) from error


class ONNXRunner:
    """An .onnx file in onnxruntime, channels last or first."""

    kind = "onnx"

    def __init__(self, path: Path, threads: int | None, values: str | None):
        from kseg.export.runtime import ONNX

        runtime = ONNX(path, threads)
        self.names, self.palette = runtime.metadata.get("classes"), runtime.metadata.get("palette")
        self._session, entries = runtime._session, runtime._session.get_inputs()
        shape = entries[0].shape
        if len(entries) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[-1]):
            raise ModelError(
                f"{path}: takes {[e.shape for e in entries]}; expected one input (1, height, width, 3) or "
                "(1, 3, height, width)"
            )
        self._first = shape[-1] != 3
        sides = shape[2:] if self._first else shape[1:3]
        self.size = tuple(sides) if all(isinstance(side, int) for side in sides) else None
        if entries[0].type not in ONNX_TYPES:
            raise ModelError(f"{path}: takes {entries[0].type}; expected one of {', '.join(ONNX_TYPES)}")
        self._name, self._dtype = entries[0].name, np.dtype(ONNX_TYPES[entries[0].type])
        if self._dtype == np.uint8 and values not in (None, "0..255"):
            raise SettingsError(f"--input-range {values}: {path} takes uint8, that is 0..255")
        self._range = RANGES[values or ("0..255" if runtime.metadata else "-1..1")]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = (
            image if self._dtype == np.uint8 else _scaled(image, self._range).astype(self._dtype, copy=False)
        )
        pixels = pixels.transpose(2, 0, 1) if self._first else pixels
        output = self._session.run(None, {self._name: pixels[None]})[0][0]
        if output.ndim != 3:
            return output
        at_end, at_start = (sides == image.shape[:2] for sides in (output.shape[1:], output.shape[:2]))
        first = at_end if at_end != at_start else self._first  # the output need not be as the input is
        return output.transpose(1, 2, 0) if first else output


def _pixels(dtype: np.dtype, quantization: tuple[float, int], values: str | None) -> np.ndarray | None:
    """What a TFLite input takes for each of the 256 values of a pixel; None where it is the pixel itself.

    Of a foreign quantised input whose range is not said, the 256 values are taken for the pixels.
    """
    byte, (scale, zero) = np.arange(256, dtype=np.uint8), quantization
    if dtype.kind == "f":
        return _scaled(byte, RANGES[values or "-1..1"]).astype(dtype)
    if not scale or (values is None and dtype.itemsize == 1):
        found = (byte ^ 128).view(np.int8) if dtype == np.int8 else byte.astype(dtype)
    else:
        limits = np.iinfo(dtype)
        found = np.round(_scaled(byte, RANGES[values or "-1..1"]) / np.float32(scale)) + zero
        found = np.clip(found, limits.min, limits.max).astype(dtype)
    return None if found.dtype == np.uint8 and (found == byte).all() else found


def _scaled(image: np.ndarray, values: tuple[float, float]) -> np.ndarray:
    """Pixels from 0-255 to a range, float32."""
    low, high = values
    return image * np.float32((high - low) / 255) + np.float32(low)
