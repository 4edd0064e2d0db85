"""Presets: trained models that come with kseg, each with a card that says what it is and is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kseg.errors import ModelError
from kseg.io.archive import verify_sha256
from kseg.models.loading.preset_folder import file_in_folder, is_preset_folder

if TYPE_CHECKING:
    import keras

    from kseg.models.structure.segmenter import Segmenter

FOLDER = Path(__file__).parents[1] / "presets"


def presets() -> dict[str, dict[str, Any]]:
    """List the trained models that come with kseg.

    Each has a card, a dict with `name`, `description`, `classes`, `palette`, `size` (height and width that
    the int8 file takes), `files` (from kind to `file`, `sha256`, `bytes`), `data`, `licence`, `settings` (the
    recipe), `command`, `scores` and `limits`.

    Returns:
        A dict from preset name to card, as read from JSON.

    Raises:
        ModelError: a card that cannot be read.

    Example:

    >>> kseg.models.presets()["people"]["classes"]
    ['background', 'person']
    """
    return {path.stem: read_card(path) for path in sorted(FOLDER.glob("*.json"))}


def preset_file(name: str, kind: str = "keras") -> Path:
    """Find a preset's file, and compare its checksum with the card's.

    Args:
        name: one of `presets()`.
        kind: "keras" or "int8" (a TFLite file).

    Returns:
        The `pathlib.Path` of the file.

    Raises:
        ModelError: no such preset or kind (the known ones are listed), or a file that is missing or was
            changed.

    Example:

    >>> kseg.models.preset_file("people", "int8").name
    'people_int8.tflite'
    """
    known = presets()
    if name not in known:
        there = ", ".join(known) or "none in this installation"
        raise ModelError(
            f"there is no preset named {name!r}; presets: {there}; or the folder of one that save_to_preset wrote"
        )
    files = known[name]["files"]
    if kind not in files:
        raise ModelError(f"the preset {name!r} has no {kind!r} file; it has {', '.join(files)}")
    path = FOLDER / files[kind]["file"]
    verify_sha256(path, files[kind]["sha256"])
    return path


def from_preset(
    name: str | Path,
    num_classes: int | None = None,
    *,
    classes: Sequence[str] | None = None,
    palette: Sequence[tuple[int, int, int]] | None = None,
    dtype: str | None = None,
) -> Segmenter:
    """A trained network that comes with kseg, or that `save_to_preset` wrote, as it is or for other classes.

    Args:
        name: one of `presets()`, such as "people", or a folder of `save_to_preset`.
        num_classes: for fine-tuning: everything is kept but the score layers, which are made again for this many
            classes; the number of `classes` by default.
        classes: names of the new classes; the score layers keep the weights of those that the preset has too. Without
            both it is the preset as it is.
        palette: an (r, g, b) of 0-255 per class, or None.
        dtype: policy such as "mixed_float16", to train in.

    Returns:
        A Keras model (a `Segmenter` with `classes`, `palette` and `working_size`).

    Raises:
        ModelError: no such preset, or a damaged file.
        SettingsError: a number of classes that does not fit their names.

    Example:

    >>> kseg.models.from_preset("people").classes
    ('background', 'person')
    >>> kseg.models.from_preset("people", 3, classes=["background", "person", "dog"]).output_shape[-1]
    3
    """
    from kseg.models.loading.model_file import load
    from kseg.models.loading.other_classes import with_classes

    known = str(name) in presets() or Path(name).is_dir()
    model = load(trained_file(name) if known else preset_file(str(name)))
    if num_classes is None and classes is None:
        if palette is not None:
            model.palette = palette
        if dtype is None:
            return model
        num_classes, classes, palette = model.num_classes, model.classes, model.palette
    return with_classes(model, num_classes, classes=classes, palette=palette, dtype=dtype)


def load_trained(what: str | Path) -> keras.Model:
    """A trained model by the name of a preset, by its `.keras` file or by a folder of `save_to_preset`.

    Args:
        what: such as "people", "runs/x/best.keras" or "mine/"; a preset's name goes before a folder of that name.

    Returns:
        A Keras model, usually a `Segmenter`.

    Raises:
        ModelError: neither a preset nor a model that `load` reads.

    Example:

    >>> kseg.models.load_trained("people").num_classes
    2
    """
    from kseg.models.loading.model_file import load

    path, name = Path(what), str(what)
    if name in presets() or is_preset_folder(path):
        return load(trained_file(name))
    if path.suffix or path.exists() or path.name != name:
        return load(path)
    there = ", ".join(presets()) or "none in this installation"
    raise ModelError(
        f"{what}: no such model file or preset; expected a .keras file such as runs/x/best.keras, a folder that "
        f"save_to_preset wrote, or one of the presets: {there}"
    )


def trained_file(name: str | Path) -> Path:
    """The model file that a preset's name or folder means, its checksum compared; another path as it is."""
    path = Path(name)
    if str(name) in presets():
        return preset_file(str(name))
    return file_in_folder(path) if path.is_dir() else path


def read_card(path: Path, advice: str = "install kseg again") -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        files = card["files"]
        ok = all(Path(f["file"]).name == f["file"] and f["sha256"] for f in files.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not a preset's card ({error}); {advice}") from error
    if not ok:
        raise ModelError(f"{path}: a card names files beside itself, each with its SHA-256; {advice}")
    return card
