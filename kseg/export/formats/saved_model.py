"""SavedModel: a folder of versions for TensorFlow Serving."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kseg.export.formats.description import of_folder
from kseg.export.formats.format import Format

if TYPE_CHECKING:
    from kseg.export.parity import Parity
    from kseg.export.runtimes.tf_saved_model import SavedModel


class SavedModelFormat(Format):
    """A folder of versions: `kseg.export.saved_model` writes one, TensorFlow and TensorFlow Serving run it."""

    name: ClassVar[str] = "saved_model"
    title: ClassVar[str] = "SavedModels"
    options: ClassVar[frozenset[str]] = frozenset({"dynamic", "version", "overwrite", "confidence"})

    def export(self, model: Any, path: str | Path, **options: Any) -> Parity:
        from kseg.export.serving.saved_model import saved_model

        return saved_model(model, path, **options)

    def open(self, path: Path, threads: int | None = None) -> SavedModel:
        from kseg.export.runtimes.tf_saved_model import SavedModel

        return SavedModel(path, threads)

    def read_metadata(self, path: Path) -> dict[str, Any]:
        return of_folder(path)

    def is_format_of(self, path: Path) -> bool:
        return path.is_dir()

    def place(self, path: Path, version: int | None = None) -> Path:
        return path / str(version or 1)
