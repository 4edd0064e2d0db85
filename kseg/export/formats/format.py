"""`Format`: what everything else asks an export format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar


class Format:
    """One export format.

    To add one: a subclass in a file of its own beside this one, its line in `FORMATS`, a test, a row in the docs.
    Imports of what converts and runs it stand inside the methods, so that the list costs nothing.

    Attributes:
        name: of `--format`.
        title: what it is called in sentences.
        suffix: ending of the file; "" where it is a folder.
        options: the arguments of `export` and of `kseg export` that it takes beside size and data.
        needs_size: whether `export` wants a (height, width) even where it leaves them free.
        checked: whether `kseg.export.check` can open the result and compare it.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str] = ""
    options: ClassVar[frozenset[str]] = frozenset()
    needs_size: ClassVar[bool] = False
    checked: ClassVar[bool] = True

    def export(self, model: Any, path: str | Path, **options: Any) -> Any:
        """Write a Keras model, opened again and compared before it gets its name."""
        raise NotImplementedError

    def open(self, path: Path, threads: int | None = None) -> Any:
        """The file in its own runtime; see `kseg.export.load`."""
        raise NotImplementedError

    def read_metadata(self, path: Path) -> dict[str, Any]:
        """What was packed with it; see `kseg.export.read_metadata`."""
        raise NotImplementedError

    def is_format_of(self, path: Path) -> bool:
        """Whether a file or folder that is there is of this format."""
        return bool(self.suffix) and path.is_file() and path.suffix.lower() == self.suffix

    def place(self, path: Path, version: int | None = None) -> Path:
        """Where the result lies that `export` writes to a path."""
        return path
