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

    Example:

    >>> {one.name: one.suffix for one in kseg.export.FORMATS if one.checked}
    {'saved_model': '', 'tflite': '.tflite', 'onnx': '.onnx'}
    """

    name: ClassVar[str]
    title: ClassVar[str]
    suffix: ClassVar[str] = ""
    options: ClassVar[frozenset[str]] = frozenset()
    needs_size: ClassVar[bool] = False
    checked: ClassVar[bool] = True

    def export(self, model: Any, path: str | Path, **options: Any) -> Any:
        """Write a Keras model; the result is opened again and compared before it gets its name.

        Args:
            model: a Keras model.
            path: the file or folder.
            **options: of the format's own function, such as `kseg.export.tflite`.

        Returns:
            What that function gives, such as a `Parity`.
        """
        raise NotImplementedError

    def open(self, path: Path, threads: int | None = None) -> Any:
        """Open a file in its own runtime, see `kseg.export.load`.

        Args:
            path: the file or folder.
            threads: of the runtime; None takes one per core.

        Returns:
            An object that is called with images `(batch, height, width, channels)`.
        """
        raise NotImplementedError

    def read_metadata(self, path: Path) -> dict[str, Any]:
        """Read what was packed with a file, see `kseg.export.read_metadata`.

        Args:
            path: the file or folder.

        Returns:
            The JSON object; empty for a file that kseg did not write.
        """
        raise NotImplementedError

    def is_format_of(self, path: Path) -> bool:
        """Tell whether a file or folder that is there is of this format.

        Args:
            path: the file or folder.

        Returns:
            True or False.
        """
        return bool(self.suffix) and path.is_file() and path.suffix.lower() == self.suffix

    def place(self, path: Path, version: int | None = None) -> Path:
        """Say where the result lies that `export` writes to a path.

        Args:
            path: what `export` is given.
            version: the version's number, of formats that have versions; None: 1.

        Returns:
            The path itself, or a folder in it.
        """
        return path
