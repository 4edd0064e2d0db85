"""`ONNX`: an .onnx file in onnxruntime."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from kseg.errors import ModelError, SettingsError
from kseg.export.formats.description import of_onnx
from kseg.export.runtimes.frames import RANGES, Frames, fitting, fixed_size, scaled
from kseg.export.runtimes.last_operation import onnx_steps, output_kind
from kseg.io.untrusted import source_of

TYPES = {
    "tensor(float)": np.float32,
    "tensor(uint8)": np.uint8,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


class ONNX:
    """An .onnx file in onnxruntime, called like `TFLite`, whose attributes it has. `operations` counts the nodes.

    Args:
        path: the file.
        threads: number of threads; None takes one per core.

    Raises:
        SettingsError: onnxruntime is not installed.
        ModelError: a file that it cannot run.
    """

    format = "onnx"

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        import onnx

        try:
            import onnxruntime
        except ImportError as error:
            raise SettingsError("Running an ONNX file needs onnxruntime: pip install onnxruntime") from error
        self.path, self.metadata = Path(path), of_onnx(path)
        graph = onnx.load(path).graph
        self.operations = Counter(node.op_type for node in graph.node)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or os.cpu_count()
        try:
            self._session = onnxruntime.InferenceSession(
                source_of(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime has its own kinds
            raise ModelError(f"{path}: onnxruntime refuses it: {str(error).splitlines()[0][:200]}") from error
        self._input = self._session.get_inputs()[0].name
        whole = "int" in self._session.get_outputs()[0].type
        self.output = "labels" if whole else output_kind(*onnx_steps(graph), self.metadata)

    @property
    def size(self) -> tuple[int, int] | None:
        return fixed_size(self._session.get_inputs()[0].shape)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        images = fitting(images, self._session.get_inputs()[0].shape, self.path)
        return self._session.run(None, {self._input: images.astype(np.float32)})[0]

    def frames(self, values: str | None = None, size: tuple[int, int] | None = None) -> Frames:
        """The file ready for RGB images one by one, channels last or first; see `TFLite.frames`."""
        session, entries = self._session, self._session.get_inputs()
        shape = entries[0].shape
        if len(entries) != 1 or len(shape) != 4 or 3 not in (shape[1], shape[-1]):
            raise ModelError(
                f"{self.path}: takes {[e.shape for e in entries]}; expected one input (1, height, width, 3) or "
                "(1, 3, height, width)"
            )
        first = shape[-1] != 3
        sides = shape[2:] if first else shape[1:3]
        if entries[0].type not in TYPES:
            raise ModelError(f"{self.path}: takes {entries[0].type}; expected one of {', '.join(TYPES)}")
        name, dtype = entries[0].name, np.dtype(TYPES[entries[0].type])
        if dtype == np.uint8 and values not in (None, "0..255"):
            raise SettingsError(f"--input-range {values}: {self.path} takes uint8, that is 0..255")
        range_ = RANGES[values or ("0..255" if self.metadata else "-1..1")]

        def run(image: np.ndarray) -> np.ndarray:
            pixels = image if dtype == np.uint8 else scaled(image, range_).astype(dtype, copy=False)
            pixels = pixels.transpose(2, 0, 1) if first else pixels
            output = session.run(None, {name: pixels[None]})[0][0]
            if output.ndim != 3:
                return output
            at_end, at_start = (sides == image.shape[:2] for sides in (output.shape[1:], output.shape[:2]))
            moved = at_end if at_end != at_start else first  # the output need not be as the input is
            return output.transpose(1, 2, 0) if moved else output

        names, palette = self.metadata.get("classes"), self.metadata.get("palette")
        fixed = tuple(sides) if all(isinstance(side, int) for side in sides) else None
        return Frames(run, fixed, self.output, names, palette)
