"""`write`: an imported model's `.keras` file, checked after it was written, and its card."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError
from kseg.io.atomic import put_in_place, temporary_path, write_errors, write_json
from kseg.version import __version__
from kseg.weights.importing import SOURCES, Imported
from kseg.weights.published_files import find_published

_SIDES = (65, 97)  # of the self-check's image: odd, and no multiple of anything


def write(imported: Imported, source_file: Path, out: Path) -> dict[str, Any]:
    """Write a model's `.keras` file, load it again, compare, and write the card beside it (`NAME.json`).

    Args:
        imported: the result of `import_weights`.
        source_file: path of the file it came from, for the card.
        out: path of the model; it ends in `.keras`.

    Returns:
        The card, a dict.

    Raises:
        ModelError: another ending, or a file that gives other logits than the model. Nothing is left then.
        FileError: the folder or disk refuses.

    Example:
    ```python
    imported = kseg.weights.import_weights("pspnet_r50-d8.pth")
    kseg.weights.write(imported, Path("pspnet_r50-d8.pth"), Path("pspnet.keras"))
    ```
    """
    if out.suffix != ".keras":
        raise ModelError(f"{out}: a model is written as a .keras file: end the name in .keras")
    image = np.random.default_rng(0).uniform(0, 255, (1, *_SIDES, 3)).astype(np.float32)
    before = _outputs(imported.model, image)
    with temporary_path(out) as part, write_errors(out):
        imported.model.save(part)
        after = _outputs(keras.saving.load_model(part, compile=False, safe_mode=True), image)
        worst = max(float(np.abs(a - b).max(initial=0)) for a, b in zip(before, after, strict=True))
        largest = max(float(np.abs(a).max(initial=0)) for a in before)
        if not worst <= 1e-5 * max(largest, 1e-30):
            raise ModelError(
                f"{out}: loaded again, the model's outputs differ by {worst:.3g} of {largest:.3g}"
            )
        put_in_place(part, out)
    described = card(imported, source_file, out)
    write_json(out.with_suffix(".json"), described)
    return described


def write_training_model(imported: Imported, out: Path) -> None:
    """Write the network with its second head as a `.keras` file, which any program that imports kseg loads.

    Args:
        imported: what `import_weights(..., auxiliary=True)` gave.
        out: where it goes.
    """
    if imported.training_model is None:
        raise ModelError(f"{out}: nothing to write: the second head was not imported (auxiliary=True)")
    with temporary_path(out) as part, write_errors(out):
        imported.training_model.save(part)
        put_in_place(part, out)


def card(imported: Imported, source_file: Path, out: Path) -> dict[str, Any]:
    """What an imported model is and where it comes from, as JSON has it.

    Returns:
        Source, page, licence, file name and SHA-256 of what was read, published score and protocol ("not known" where
        kseg does not know the file), what was assumed, the classes, and which arrays were left out.
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
