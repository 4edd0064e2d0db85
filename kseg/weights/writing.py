"""`write`: an imported model's `.keras` file, checked after it was written, and its card."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError, SettingsError
from kseg.io.atomic import put_in_place, temporary_path, write_errors, write_json
from kseg.version import __version__
from kseg.weights.identifying import SOURCES
from kseg.weights.importing import Imported
from kseg.weights.published_files import find_published

_LARGEST_CARD = 1 << 24  # bytes
_SIDES = (65, 97)  # of the self-check's image: odd, and no multiple of anything


def write(imported: Imported, source_file: Path, out: Path, auxiliary: Path | None = None) -> dict[str, Any]:
    """Write a model's `.keras` file, load it again, compare, and write the card beside it (`NAME.json`).

    Args:
        imported: the result of `import_weights`.
        source_file: path of the file it came from, for the card.
        out: path of the model; it ends in `.keras`.
        auxiliary: path of a second `.keras` file, for the network with its second head
            (`import_weights(..., auxiliary=True)`).

    Returns:
        The card, a dict.

    Raises:
        ModelError: another ending, or a file that gives other logits than the model.
        SettingsError: `check_targets` refuses a path.
        FileError: the folder or disk refuses. Whichever it is, all files are as they were before.

    Example:
    ```python
    imported = kseg.weights.import_weights("pspnet_r50-d8.pth")
    kseg.weights.write(imported, Path("pspnet_r50-d8.pth"), Path("pspnet.keras"))
    ```
    """
    if auxiliary is not None and imported.training_model is None:
        raise ModelError(f"{auxiliary}: nothing to write: the second head was not imported (auxiliary=True)")
    check_targets(source_file, out, auxiliary)
    described, note = card(imported, source_file, out), out.with_suffix(".json")
    with ExitStack() as stack:
        parts = {}
        for target in (note, auxiliary, out):
            if target is not None:
                parts[target] = stack.enter_context(temporary_path(target))
        with write_errors(out):
            imported.model.save(parts[out])
            _check_alike(imported.model, parts[out], out)
        if auxiliary is not None:
            with write_errors(auxiliary):
                imported.training_model.save(parts[auxiliary])
        write_json(parts[note], described)
        _put_all_in_place(parts, stack)
    return described


def check_targets(source_file: Path, out: Path, auxiliary: Path | None = None) -> None:
    """Refuse paths of a model and its card that would replace something else than an earlier import.

    Raises:
        ModelError: another ending than `.keras`.
        SettingsError: the file that is read, the same path twice, a folder, or a `.json` file that is no card.
    """
    if out.suffix != ".keras":
        raise ModelError(f"{out}: a model is written as a .keras file: end the name in .keras")
    if auxiliary is not None and (auxiliary.suffix != ".keras" or auxiliary == out):
        raise SettingsError(f"--auxiliary {auxiliary}: needs a .keras file other than --out")
    note = out.with_suffix(".json")
    for target in filter(None, (out, note, auxiliary)):
        if target.is_dir():
            raise SettingsError(f"{target}: a folder; give --out another name")
        if target.exists() and source_file.exists() and target.samefile(source_file):
            raise SettingsError(f"{target}: the file that is read would be replaced; give --out another name")
    if note.exists() and not _is_card(note):
        raise SettingsError(
            f"{note}: the model's card would replace this file, which is none; give --out another name"
        )


def _is_card(path: Path) -> bool:
    try:
        found = json.loads(path.read_bytes()) if path.stat().st_size < _LARGEST_CARD else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= {"source", "sha256", "kseg"}


def _check_alike(model: keras.Model, part: Path, out: Path) -> None:
    """ModelError where a file, loaded again, gives other outputs than the model."""
    image = np.random.default_rng(0).uniform(0, 255, (1, *_SIDES, 3)).astype(np.float32)
    before = _outputs(model, image)
    after = _outputs(keras.saving.load_model(part, compile=False, safe_mode=True), image)
    worst = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(before, after, strict=True))
    largest = max(float(np.abs(a).max(initial=0)) for a in before)
    if not worst <= 1e-5 * max(largest, 1e-30):
        raise ModelError(f"{out}: loaded again, the model's outputs differ by {worst:.3g} of {largest:.3g}")


def _put_all_in_place(parts: dict[Path, Path], stack: ExitStack) -> None:
    """All files or none: should one be refused, those before it are as they were."""
    done: list[tuple[Path, Path | None]] = []
    try:
        for target, part in parts.items():
            old = None
            if target.exists():
                old = stack.enter_context(temporary_path(target))
                with write_errors(target):
                    shutil.copyfile(target, old)
            put_in_place(part, target)
            done.append((target, old))
    except BaseException:
        for target, old in done:
            target.unlink() if old is None else os.replace(old, target)
        raise


def card(imported: Imported, source_file: Path, out: Path) -> dict[str, Any]:
    """What an imported model is and where it comes from, as JSON has it.

    Returns:
        Source, page, licence, file name and SHA-256 of what was read, published score and protocol ("not known" where
        kseg does not know the file), what was assumed, every setting that no key shows with its value and whether it
        was assumed, from the file's config or given, the classes, and which arrays were left out.
    """
    source, known = SOURCES[imported.source], find_published(source_file.name)
    sha256 = sha256_of(source_file) if source_file.is_file() else None
    if known is not None and known.sha256_prefix and sha256 and not sha256.startswith(known.sha256_prefix):
        known = None  # a file of that name, and not that file
    classes = getattr(imported.model, "classes", None)
    return {
        "model": out.name,
        "source": imported.source,
        "page": known.page if known else source.page,
        "licence": source.licence,
        "file": source_file.name,
        "sha256": sha256,
        "score": (known.score if known else None) or "not known",
        "protocol": (known.protocol if known else None) or "not known",
        "evaluate": (known.evaluate if known else None) or "not known",
        "assumed": imported.note,
        "settings": {
            name: {"value": value, "from": origin} for name, (value, origin) in imported.settings.items()
        },
        "classes": list(classes) if classes else None,
        "arrays": len(imported.copied),
        "left_out": list(imported.unused),
        "kseg": __version__,
    }


def sha256_of(path: Path) -> str:
    """The SHA-256 checksum of a file."""
    with write_errors(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _outputs(model: keras.Model, image: np.ndarray) -> list[np.ndarray]:
    """The model's outputs of an image, a backbone's in the order of its stages."""
    found = model(image, training=False)
    return [np.asarray(one) for one in (found.values() if isinstance(found, dict) else [found])]
