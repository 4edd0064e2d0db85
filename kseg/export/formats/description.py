"""Reading what is packed with exported files: class names, palette, input range (`kseg.export.metadata` writes it)."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kseg.errors import ModelError

LABELS, SIDE_FILE = "labels.txt", "kseg.json"


def of_zip(path: str | Path) -> dict[str, Any]:
    """Of a TFLite file, at whose end a zip archive lies; empty where there is none."""
    with _damage_errors(path):
        if not zipfile.is_zipfile(path):
            return {}
        with zipfile.ZipFile(path) as archive:
            return _object(archive.read(SIDE_FILE) if SIDE_FILE in archive.namelist() else "{}", path)


def of_folder(path: str | Path) -> dict[str, Any]:
    """Of a SavedModel's version folder; empty where it has no `assets.extra/kseg.json`."""
    side = Path(path) / "assets.extra" / SIDE_FILE
    with _damage_errors(path):
        return _object(side.read_text(encoding="utf-8") if side.is_file() else "{}", path)


def of_onnx(path: str | Path) -> dict[str, Any]:
    """Of an ONNX file's metadata; empty where it has none of kseg's."""
    import onnx
    from google.protobuf.message import DecodeError

    with _damage_errors(path):
        try:
            model = onnx.load(path, load_external_data=False)
        except DecodeError as error:
            raise ModelError(f"{path}: not an ONNX file") from error
        properties = {entry.key: entry.value for entry in model.metadata_props}
        return _object(properties.get("kseg", "{}"), path)


@contextmanager
def _damage_errors(path: str | Path) -> Iterator[None]:
    """A ModelError that names the file for whatever reading a damaged one raises."""
    try:
        yield
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: what is packed with it is damaged ({str(error)[:200]}); export or download it again"
        ) from error


def _object(text: str | bytes, path: str | Path) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ModelError(f"{path}: its {SIDE_FILE} is not a JSON object; export it again")
    return found
