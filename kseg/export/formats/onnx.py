"""ONNX: one file for onnxruntime and everything that reads ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kseg.export.formats.description import of_onnx
from kseg.export.formats.format import Format

if TYPE_CHECKING:
    from kseg.export.parity import Parity
    from kseg.export.runtimes.onnx_runtime import ONNX


class ONNXFormat(Format):
    """An .onnx file: `kseg.export.onnx` writes it, onnxruntime runs it."""

    name: ClassVar[str] = "onnx"
    title: ClassVar[str] = "ONNX"
    suffix: ClassVar[str] = ".onnx"
    options: ClassVar[frozenset[str]] = frozenset({"dynamic", "class_ids"})

    def export(self, model: Any, path: str | Path, **options: Any) -> Parity | None:
        from kseg.export.conversion.onnx import onnx

        return onnx(model, path, **options)

    def open(self, path: Path, threads: int | None = None) -> ONNX:
        from kseg.export.runtimes.onnx_runtime import ONNX

        return ONNX(path, threads)

    def read_metadata(self, path: Path) -> dict[str, Any]:
        return of_onnx(path)
