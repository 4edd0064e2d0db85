"""The export formats, one object a file. Export, command line and webcam ask this list; nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kseg.errors import ModelError, SettingsError
from kseg.export.formats.format import Format
from kseg.export.formats.onnx import ONNXFormat
from kseg.export.formats.saved_model import SavedModelFormat
from kseg.export.formats.tflite import TFLiteFormat
from kseg.export.formats.web import WebFormat
from kseg.io.untrusted import check_runs

FORMATS: tuple[Format, ...] = (SavedModelFormat(), TFLiteFormat(), ONNXFormat(), WebFormat())

__all__ = ["FORMATS", "Format", "format_for", "format_of", "load", "read_metadata", "suffixes"]


def suffixes() -> tuple[str, ...]:
    """The endings of the formats that are one file, such as `.tflite`."""
    return tuple(one.suffix for one in FORMATS if one.suffix)


def format_for(path: str | Path, name: str | None = None) -> Format:
    """The format to export a path in, by its name, else by the path's ending; without one, a SavedModel's folder.

    Raises:
        SettingsError: an unknown name, a name that does not suit the ending, a folder in the place of a file.

    Example:

    >>> from kseg.export.formats import format_for
    >>> format_for("model.onnx").name
    'onnx'
    """
    ending, by_name = Path(path).suffix, {one.name: one for one in FORMATS}
    if name is not None and name not in by_name:
        raise SettingsError(f"An export format is one of {', '.join(by_name)}; got {name!r}")
    by_ending = next((one for one in FORMATS if one.suffix and one.suffix == ending.lower()), None)
    if name is None and ending and by_ending is None:
        raise SettingsError(
            f"{path}: {ending} is neither {' nor '.join(suffixes())}; for a SavedModel's folder of this name add "
            "--format saved_model"
        )
    found = by_name[name] if name is not None else by_ending or FORMATS[0]
    if found.suffix and found is not by_ending:
        raise SettingsError(f"The format {found.name} writes a file that ends in {found.suffix}, not {path}")
    if found.suffix and Path(path).is_dir():
        raise SettingsError(f"{path}: a folder has this name; choose another for the file")
    return found


def format_of(path: str | Path) -> Format:
    """The format of an exported file that is there.

    Raises:
        ModelError: no such file, or one of no known format.
    """
    path = Path(path)
    if not path.exists():
        raise ModelError(f"{path}: no such exported model")
    for one in FORMATS:
        if one.is_format_of(path):
            return one
    raise ModelError(f"{path}: expected a {' or '.join(suffixes())} file, or a SavedModel's version folder")


def load(path: str | Path, threads: int | None = None, trust: bool = False) -> Any:
    """Open an exported model in its own runtime: a .tflite or .onnx file, or a SavedModel's version folder.

    A .tflite or .onnx file runs once in a process of its own first, where one that is damaged or made to do harm
    crashes alone. A SavedModel is a program, and always trusted.

    Args:
        path: the file or folder.
        threads: of the runtime; None takes one per core.
        trust: open a file at once, such as one of your own.

    Returns:
        An object that is called with images `(batch, height, width, channels)`, numbers 0-255, and gives what
        the model gives; with the attributes `size`, `output`, `operations` and `metadata`
        (`kseg.export.runtimes`).

    Raises:
        ModelError: no such file, or none that the runtime can run.

    Example:
    ```python
    run = kseg.export.load("model.tflite")
    run.size, run.output  # ((256, 256), "logits")
    logits = run(images)
    ```
    """
    found = format_of(path)
    if not trust:
        check_runs(path)
    return found.open(Path(path), threads)


def read_metadata(path: str | Path) -> dict[str, Any]:
    """Read what `kseg export` packed with a model: classes, palette, input range, precision, output.

    Args:
        path: a .tflite or .onnx file, or a SavedModel's version folder.

    Returns:
        The JSON object; empty for a file that kseg did not write.

    Raises:
        ModelError: there is no such file, or what is packed with it is damaged.

    Example:
    ```python
    kseg.export.read_metadata("people.tflite")["classes"]  # ["background", "person"]
    ```
    """
    return format_of(path).read_metadata(Path(path))
