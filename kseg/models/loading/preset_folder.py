"""`save_to_preset`: a trained network and its card in a folder that `from_preset` reads."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kseg.errors import ModelError, SettingsError
from kseg.io.archive import verify_sha256
from kseg.io.atomic import put_in_place, temporary_path, write_errors, write_json

if TYPE_CHECKING:
    from kseg.models.structure.segmenter import Segmenter

CARD, WEIGHTS = "card.json", "model.keras"


def save_to_preset(
    model: Segmenter,
    folder: str | Path,
    *,
    description: str = "",
    data: str = "",
    licence: str = "",
    scores: dict[str, Any] | None = None,
    limits: str = "",
) -> None:
    """Save a network with a card into a folder, from which `from_preset(folder)` loads it.

    The folder gets `model.keras`, without an optimizer, and `card.json`: what the arguments say, the network's
    classes, palette and working size, its number of weights, and the SHA-256 of the file. A preset that is there is
    replaced as a whole.

    Args:
        model: a network of kseg.
        folder: where to; made if it is not there.
        description: what the network is, in a sentence.
        data: what it was trained on.
        licence: of the weights.
        scores: anything that JSON can hold, such as `{"val": {"mean_iou": 0.81}}`.
        limits: what it cannot do.

    Raises:
        ModelError: no network of kseg, or one that could not be loaded again.
        SettingsError: a folder with other files, or scores that JSON cannot hold.
        FileError: the system refuses to write.

    Example:
        ```python
        model = kseg.models.from_preset("people", classes=["background", "person", "dog"])
        model.save_to_preset("mine", description="People and dogs in our garden", licence="CC BY 4.0")
        kseg.models.from_preset("mine").classes
        ```
    """
    from kseg.models.loading.model_file import without_optimizer
    from kseg.models.structure.segmenter import Segmenter

    if not isinstance(model, Segmenter):
        raise ModelError(
            f"{model.name} is a {type(model).__name__}, not a network of kseg; save it with `save`."
        )
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not is_preset_folder(folder))):
        raise SettingsError(
            f"{folder} exists and is not a preset: name a folder that is new, empty or a preset."
        )
    card = {
        "name": folder.resolve().name,
        "description": description,
        "network": type(model).__name__,
        "weights": model.count_params(),
        "classes": model.classes,
        "palette": model.palette,
        "size": model.working_size,
        "data": data,
        "licence": licence,
        "scores": scores or {},
        "limits": limits,
    }
    with temporary_path(folder) as part, write_errors(folder):
        part.mkdir()
        with without_optimizer(model):
            model.save(part / WEIGHTS)
        content = (part / WEIGHTS).read_bytes()
        file = {"file": WEIGHTS, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        try:
            write_json(part / CARD, {**card, "files": {"keras": file}})
        except TypeError as error:
            raise SettingsError(f"`scores` must be what JSON can hold ({error}).") from None
        put_in_place(part, folder)


def is_preset_folder(folder: Path) -> bool:
    """Whether `save_to_preset` wrote a folder."""
    return (folder / CARD).is_file()


def file_in_folder(folder: Path) -> Path:
    """The model file of a preset's folder, its checksum compared with the card's.

    Raises:
        ModelError: no preset, or a file that is missing or was changed.
    """
    from kseg.models.loading.preset import read_card

    if not is_preset_folder(folder):
        raise ModelError(
            f"{folder} is a folder but not a preset: it has no {CARD}, which save_to_preset writes."
        )
    file = read_card(folder / CARD, "save the preset again")["files"]["keras"]
    verify_sha256(folder / file["file"], file["sha256"])
    return folder / file["file"]
