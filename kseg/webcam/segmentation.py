"""Models for frames: presets, .keras, .tflite and .onnx files, kseg's own and others, all called alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from kseg.errors import ModelError, SettingsError
from kseg.inference.palette_png import default_palette
from kseg.webcam.smoothing import of_two

RANGES = {"0..255": (0.0, 255.0), "0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}
VOC = 21
DEFAULT_SIZE = (256, 256)


class Runner(Protocol):
    """Runs one picture, RGB uint8 (height, width, 3); gives the raw output without its batch."""

    size: tuple[int, int] | None
    names: Sequence[str] | None
    palette: Sequence[Sequence[int]] | None
    kind: str

    def __call__(self, image: np.ndarray) -> np.ndarray: ...


class Segmentation:
    """A model that takes frames of any size and gives probabilities.

    Args:
        runner: see ``load``.
        size: (height, width) that frames are stretched to; None: the model's own, else 256x256.

    Call it with a BGR uint8 frame (H, W, 3): gives float32 probabilities (h, w, classes) at the model's output
    size. ``scores`` and ``probabilities`` are its two halves, for two threads. ``classes``, ``palette`` (RGB) and
    ``size`` are attributes.
    """

    def __init__(self, runner: Runner, size: tuple[int, int] | None = None):
        if size is not None and runner.size is not None and size != runner.size:
            raise SettingsError(
                f"--size: this model takes {runner.size[0]}x{runner.size[1]} pixels only, not {size[0]}x{size[1]}"
            )
        self.runner, self.size = runner, size or runner.size or DEFAULT_SIZE
        first = self.probabilities(runner(np.full((*self.size, 3), 127, np.uint8)))
        count = first.shape[-1]
        names = list(runner.names or ())
        if len(names) != count:
            names = _names(count)
        self.classes = tuple(names)
        palette = (
            runner.palette if runner.palette and len(runner.palette) == count else default_palette(count)
        )
        self.palette = tuple(tuple(int(v) for v in colour) for colour in palette)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        return self.probabilities(self.scores(frame))

    def scores(self, frame: np.ndarray) -> np.ndarray:
        """What the model itself gives for a frame."""
        return self.runner(self.prepared(frame))

    def prepared(self, frame: np.ndarray) -> np.ndarray:
        """The frame stretched to the model's size: uint8 RGB."""
        height, width = self.size
        # Averaging takes seven times as long; up to a third of the size two pixels a side see nearly as much.
        shrinks = frame.shape[0] > 3 * height or frame.shape[1] > 3 * width
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        small = cv2.resize(frame, (width, height), interpolation=how)
        return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)

    def probabilities(self, output: np.ndarray) -> np.ndarray:
        """Probabilities (h, w, classes) of what ``scores`` gave."""
        if output.ndim == 2:  # class ids, or the mask of one class
            output = output[..., None] if output.dtype.kind == "f" else _one_hot(output, self.runner.names)
        if output.ndim != 3 or 0 in output.shape:
            raise ModelError(
                f"The model gives an output of shape {output.shape} a picture; expected (height, width, classes)"
            )
        return foreground(output) if output.shape[-1] == 1 else softmax(output)


def _scaled(image: np.ndarray, values: tuple[float, float]) -> np.ndarray:
    """Pixels from 0-255 to a range, float32."""
    low, high = values
    return image * np.float32((high - low) / 255) + np.float32(low)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, float32; values that are probabilities already are left as they are."""
    logits = logits.astype(np.float32, copy=False)
    if logits.min() >= 0 and logits.max() <= 1 and abs(float(logits[0, 0].sum()) - 1) < 0.02:
        return logits
    if logits.shape[-1] == 2:  # one exponential in place of two
        return of_two(1 / (1 + cv2.exp(np.clip(logits[..., 0] - logits[..., 1], -60, 60))))
    powers = cv2.exp(np.ascontiguousarray(logits - logits.max(-1, keepdims=True)).reshape(len(logits), -1))
    powers = powers.reshape(logits.shape)
    return powers / powers.sum(-1, keepdims=True)


def foreground(mask: np.ndarray) -> np.ndarray:
    """Background and foreground of a one-channel output: probabilities as they are, logits through a sigmoid."""
    mask = mask[..., 0].astype(np.float32)
    if mask.min() < 0 or mask.max() > 1:
        mask = 1 / (1 + np.exp(-np.clip(mask, -60, 60)))
    return of_two(mask)


def _one_hot(ids: np.ndarray, names: Sequence[str] | None) -> np.ndarray:
    count = max(int(ids.max()) + 1, len(names or ()), 2)
    return np.eye(count, dtype=np.float32)[ids.astype(np.intp)]


def _names(count: int) -> list[str]:
    from kseg.data.sources.voc import CLASSES

    if count == VOC:
        return list(CLASSES)
    return ["background", "foreground"] if count == 2 else [f"class {i}" for i in range(count)]


def load(
    what: str,
    *,
    size: tuple[int, int] | None = None,
    threads: int | None = None,
    precision: str = "int8",
    values: str | None = None,
) -> Segmentation:
    """A model for frames by the name of a preset or by its file.

    Args:
        what: a preset's name, or a .keras, .tflite or .onnx file.
        size: (height, width) that frames are stretched to, where the model leaves it open.
        threads: of the runtime; None takes one a core.
        precision: of a preset: "int8" (its TFLite file) or "float32" (its .keras file).
        values: what a foreign float model takes, one of ``RANGES``; None: -1..1, or 0..255 for kseg's own.

    Raises:
        ModelError: no such preset or file, or one that cannot be run on pictures.
        SettingsError: a size the model does not take, an unknown range.
    """
    if values is not None and values not in RANGES:
        raise SettingsError(f"--input-range is one of {', '.join(RANGES)}, got {values!r}")
    path = Path(what)
    if path.suffix not in (".keras", ".tflite", ".onnx"):
        path = _preset(what, precision)
    elif not path.is_file():
        raise ModelError(f"{path}: no such model file")
    if path.suffix == ".keras":
        runner = _Keras(path)
        return Segmentation(runner, size or runner.working_size)
    runner = (
        _TFLite(path, threads, values, size) if path.suffix == ".tflite" else _ONNX(path, threads, values)
    )
    return Segmentation(runner, size)


def _preset(name: str, precision: str) -> Path:
    from kseg.models import preset_file

    try:
        return preset_file(name, "keras" if precision == "float32" else precision)
    except ModelError as error:
        if Path(name).suffix or "/" in name:
            raise ModelError(
                f"{name}: expected a preset's name, or a .keras, .tflite or .onnx file"
            ) from None
        raise error


class _Keras:
    """A .keras file as a compiled graph."""

    kind = "keras"

    def __init__(self, path: Path):
        from kseg.inference.forward import Forward
        from kseg.models import load as load_keras

        model = load_keras(path)
        self.names, self.palette = getattr(model, "classes", None), getattr(model, "palette", None)
        fixed = model.inputs[0].shape[1:3]
        self.size = None if None in fixed else tuple(fixed)
        self.working_size = self.size or getattr(model, "working_size", None)
        self._forward = Forward(model)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return self._forward.run(image[None].astype(np.float32))[0]


class _TFLite:
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
        if self.size is None:
            self._interpreter.resize_tensor_input(self._entry["index"], (1, *(size or DEFAULT_SIZE), 3))
            self._interpreter.allocate_tensors()
        self._range = RANGES[values or ("0..255" if metadata else "-1..1")]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        dtype = np.dtype(self._entry["dtype"])
        if dtype.kind == "f":
            pixels = _scaled(image, self._range).astype(dtype, copy=False)
        else:
            pixels = (image ^ 128).view(np.int8) if dtype == np.int8 else image.astype(dtype, copy=False)
        self._interpreter.set_tensor(self._entry["index"], pixels[None])
        self._interpreter.invoke()
        output = self._interpreter.get_tensor(self._output["index"])[0]
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


class _ONNX:
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
        self._name, self._byte = entries[0].name, entries[0].type == "tensor(uint8)"
        self._range = RANGES[values or ("0..255" if runtime.metadata else "-1..1")]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = image if self._byte else _scaled(image, self._range)
        pixels = pixels.transpose(2, 0, 1) if self._first else pixels
        output = self._session.run(None, {self._name: pixels[None]})[0][0]
        return output.transpose(1, 2, 0) if self._first and output.ndim == 3 else output
