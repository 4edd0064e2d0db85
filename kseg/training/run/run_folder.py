"""The folder of a run: recipe.json, and whether a run that lies there may go on."""

import json
import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.data import Dataset
from kseg.errors import SettingsError
from kseg.io.atomic import clear_leftovers, write_json
from kseg.training.recipes.recipe import Recipe
from kseg.training.run import checkpoint
from kseg.version import __version__

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What may differ between two starts of the same run.
_FREE = {
    "name",
    "model",
    "data",
    "epochs",
    "validate_every",
    "expected_score",
    "expected_minutes",
    "starts_from",
    "source",
    "backbone",
}
_FREE_START = {"root"}
_PARTS = ("recipe", "model", "data", "start")
_RUN = ("recipe.json", "metrics.csv", "last.keras", "best.keras", "last.damaged", "tensorboard")


def describe(
    model: keras.Model,
    model_name: str | None,
    recipe: Recipe,
    train: Dataset,
    val: Dataset | None,
    steps_per_epoch: int,
    *,
    class_weights: tuple[float, ...] | None = None,
    start: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What recipe.json holds: everything that was resolved before the first step.

    Args:
        model_name: what to call the model; None for its own name, without the number that Keras gives to a further
            model of a class in one program.
        class_weights: the numbers that the recipe's setting became.
        start: where the first weights came from and what else the caller wants to be the same in a run that goes
            on; the root of the data is noted, but may move.
    """
    import tensorflow as tf

    own, _, number = model.name.rpartition("_")
    automatic = number.isdecimal() and own.replace("_", "") == type(model).__name__.lower()
    name = model_name or (own if automatic else model.name)
    return {
        "recipe": recipe.to_dict(),
        "class_weights": None if class_weights is None else [float(weight) for weight in class_weights],
        "start": dict(start or {}),
        "model": {"name": name, "class": type(model).__name__, "parameters": model.count_params()},
        "data": {
            "name": train.name,
            "train_split": train.split,
            "val_split": None if val is None else val.split,
            "train": len(train),
            "val": 0 if val is None else len(val),
            "classes": list(train.classes),
            "palette": [list(map(int, colour)) for colour in train.palette],
            "ignore_label": train.ignore_label,
        },
        "steps_per_epoch": steps_per_epoch,
        "seed": recipe.seed,
        "versions": {
            "kseg": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def open_run(folder: Path, run: dict[str, Any], resume: bool) -> dict[str, Any]:
    """Make the folder, or check that the run in it is this one; return its checkpoint's state, {} if none.

    Raises:
        SettingsError: another run lies there; the message names what differs and the ways out.
    """
    _make(folder)
    clear_leftovers(folder)
    if not resume:
        _remove(_files_of_run(folder))
    if not checkpoint.exists(folder):
        write_json(folder / "recipe.json", run)
        return {}
    before = _read_json(folder / "recipe.json")
    different = differences(before, run)
    if different:
        raise SettingsError(
            f"{folder} holds another run; different: {'; '.join(different)}. Give another `out`, or start "
            "again here with resume=False, which replaces that run."
        )
    found = checkpoint.load_state(checkpoint.recovered(folder))
    write_json(folder / "recipe.json", run)
    return found


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While it lasts, no other process may train into the folder; SettingsError if one does.

    The lock is the system's, on the folder itself: it leaves no file, and it ends with the process however that ends.
    Where the system (Windows) or the file system (some of networks) has none, this does nothing.
    """
    _make(folder)
    handle = None if fcntl is None else os.open(folder, os.O_RDONLY)
    try:
        if handle is not None:
            with suppress(OSError):  # a file system without such locks
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise SettingsError(
                        f"{folder}: another process trains into this folder; let it end, or give another `out`."
                    ) from None
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _make(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file; `out` must name a folder.")
    folder.mkdir(parents=True, exist_ok=True)


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What is not the same in two run descriptions, as "setting: old -> new"."""
    old, new = _flat(before), _flat(now)
    return [
        f"{name}: {json.dumps(old.get(name))} -> {json.dumps(new.get(name))}"
        for name in dict.fromkeys([*old, *new])
        if old.get(name) != new.get(name)
    ]


def _flat(run: dict[str, Any]) -> dict[str, Any]:
    settings = run.get("recipe", {})
    with suppress(SettingsError):  # of a newer kseg, or with a loss that is not registered
        # A run of an older kseg has no word about settings that came later: it had their defaults.
        settings = Recipe.from_dict(settings).to_flat()
    recipe = {name: value for name, value in settings.items() if name not in _FREE}
    data = {f"data {name}": value for name, value in run.get("data", {}).items()}
    model = {f"model {name}": value for name, value in run.get("model", {}).items()}
    start = {
        f"start {name}": value for name, value in run.get("start", {}).items() if name not in _FREE_START
    }
    return {**model, **data, **recipe, **start, "steps an epoch": run.get("steps_per_epoch")}


@contextmanager
def all_or_nothing(folder: Path, replace: bool) -> Iterator[None]:
    """Undo a start that fails before its first checkpoint.

    What it wrote is removed; a run that it was to replace, set aside in `.previous` meanwhile, comes back.
    """
    existed, aside = folder.is_dir(), folder / ".previous"
    if replace and checkpoint.exists(folder):
        with alone(folder):
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            _move(_files_of_run(folder), aside)
    before = set(folder.iterdir()) if existed else set()
    try:
        yield
    except BaseException:
        if folder.is_dir() and not checkpoint.exists(folder):
            _remove(set(folder.iterdir()) - before)
            if aside.is_dir():
                _move(aside.iterdir(), folder)
                aside.rmdir()
            if not existed:
                folder.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _move(paths: Iterable[Path], folder: Path) -> None:
    for path in list(paths):
        if path.exists():
            os.replace(path, folder / path.name)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
        if isinstance(content, dict) and all(isinstance(content.get(part, {}), dict) for part in _PARTS):
            return content
        reason = "not what kseg wrote"
    except (OSError, ValueError, RecursionError) as error:
        reason = str(error)
    raise SettingsError(
        f"{path} cannot be read ({reason}), so the run beside it cannot go on; give another `out`, or "
        "resume=False to replace it."
    )


def _files_of_run(folder: Path) -> list[Path]:
    return [*(folder / name for name in _RUN), *folder.glob("last.*.keras")]
