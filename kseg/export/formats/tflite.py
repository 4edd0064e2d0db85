"""TFLite: one file for LiteRT, on phones, in browsers, on single-board computers and here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kseg.export.formats.description import of_zip
from kseg.export.formats.format import Format

if TYPE_CHECKING:
    from kseg.export.parity import Parity
    from kseg.export.runtimes.litert import TFLite


class TFLiteFormat(Format):
    """A .tflite file: `kseg.export.tflite` writes it, LiteRT runs it."""

    name: ClassVar[str] = "tflite"
    title: ClassVar[str] = "TFLite"
    suffix: ClassVar[str] = ".tflite"
    options: ClassVar[frozenset[str]] = frozenset(
        {"dynamic", "class_ids", "precision", "int8_budget", "auto"}
    )
    needs_size: ClassVar[bool] = True

    def export(self, model: Any, path: str | Path, **options: Any) -> Parity:
        from kseg.export.conversion.tflite import tflite

        return tflite(model, path, **options)

    def open(self, path: Path, threads: int | None = None) -> TFLite:
        from kseg.export.runtimes.litert import TFLite

        return TFLite(path, threads)

    def read_metadata(self, path: Path) -> dict[str, Any]:
        return of_zip(path)
