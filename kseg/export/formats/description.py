"""Reading what is packed with exported files: class names, palette, input range (`kseg.export.metadata` writes it)."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kseg.errors import ModelError

LABELS, SIDE_FILE = "labels.txt", "kseg.json"


def of_zip(path: str | Path) -> dict[str, Any]:
    """Of a TFLite file, at whose end a zip archive lies; empty where there is none."""
    return _object(Path(path), _from_zip)


def of_folder(path: str | Path) -> dict[str, Any]:
    """Of a SavedModel's version folder; empty where it has no `assets.extra/kseg.json`."""
    return _object(Path(path), _from_folder)


def of_onnx(path: str | Path) -> dict[str, Any]:
    """Of an ONNX file's metadata; empty where it has none of kseg's."""
    return _object(Path(path), _from_onnx)


def _object(path: Path, read: Callable[[Path], Any]) -> dict[str, Any]:
    try:
        found = read(path)
    except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: what is packed with it is damaged ({error}); export or download it again"
        ) from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: its {SIDE_FILE} is no JSON object; export it again")
    return found


def _from_folder(path: Path) -> Any:
    side = path / "assets.extra" / SIDE_FILE
    return json.loads(side.read_text(encoding="utf-8")) if side.is_file() else {}


def _from_zip(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        return {}
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(SIDE_FILE)) if SIDE_FILE in archive.namelist() else {}


def _from_onnx(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ModelError(f"{path}: not an ONNX file") from error
    properties = {entry.key: entry.value for entry in model.metadata_props}
    return json.loads(properties["kseg"]) if "kseg" in properties else {}
