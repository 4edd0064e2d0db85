"""Presets: trained models that come with kseg, each with a card that says what it is and is not."""

import json
from pathlib import Path

from kseg.errors import ModelError
from kseg.io.archive import verify_sha256

FOLDER = Path(__file__).parents[1] / "presets"


def presets():
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
    return {path.stem: _card(path) for path in sorted(FOLDER.glob("*.json"))}


def preset_file(name, kind="keras"):
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
        raise ModelError(f"there is no preset named {name!r}; presets: {there}")
    files = known[name]["files"]
    if kind not in files:
        raise ModelError(f"the preset {name!r} has no {kind!r} file; it has {', '.join(files)}")
    path = FOLDER / files[kind]["file"]
    verify_sha256(path, files[kind]["sha256"])
    return path


def from_preset(name):
    """Load a trained model that comes with kseg.

    Args:
        name: one of `presets()`, such as "people".

    Returns:
        A Keras model: a `Segmenter` with `classes` and `palette`.

    Raises:
        ModelError: no such preset, or a damaged file.

    Example:

    >>> kseg.models.from_preset("people").num_classes
    2
    """
    from kseg.models.loading.model_file import load

    return load(preset_file(name))


def load_trained(what):
    """Load a trained model by the name of a preset or by its `.keras` file.

    A folder that happens to have a preset's name is ignored.

    Args:
        what: name or path, such as "people" or "runs/x/best.keras".

    Returns:
        A Keras model, usually a `Segmenter`.

    Raises:
        ModelError: neither a preset nor a model that `load` reads.

    Example:

    >>> kseg.models.load_trained("people").num_classes
    2
    """
    from kseg.models.loading.model_file import load

    path = Path(what)
    known = not path.suffix and str(what) in presets()
    if not known and (path.suffix or path.exists() or path.name != str(what)):
        return load(path)
    if not known:
        there = ", ".join(presets()) or "none in this installation"
        raise ModelError(
            f"{what}: no such model file or preset; expected a .keras file such as runs/x/best.keras, or one of "
            f"the presets: {there}"
        )
    return from_preset(str(what))


def _card(path):
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        files = card["files"]
        ok = all(Path(f["file"]).name == f["file"] and f["sha256"] for f in files.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not a preset's card ({error}); install kseg again") from error
    if not ok:
        raise ModelError(
            f"{path}: a card names files beside itself, each with its SHA-256; install kseg again"
        )
    return card
