"""Checkpoints that a crash or a full disk cannot destroy, and that carry all that a run needs to go on."""

import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.errors import KsegError, ModelError

# Beside Keras's own members of the .keras archive, which Keras's loader passes over.
_STATE = "kseg_training.json"
_SPARE_BYTES = 4 << 20


def save(
    model: keras.Model, path: str | Path, state: dict[str, Any] | None = None, *, optimizer: bool = True
):
    """Write `model` to `path` (`.keras`) so that at every moment the old or the new file is there, whole.

    The file is written beside the target, read back, forced to the disk, and renamed. Keras's own
    `model.save` writes over the old file, and a full disk then leaves neither.

    Args:
        model: the model; with its optimizer's state if `optimizer`.
        path: the target, ending in `.keras`.
        state: what else to keep, in JSON's types; `load_state` returns it.

    Raises:
        KsegError: no space, or the file written cannot be read back; the old file is untouched then.
    """
    path = Path(path)
    _check_space(model, path, optimizer)
    partial = path.with_name(f".{path.stem}.partial.keras")
    try:
        with _trained(model, optimizer):
            model.save(partial)
        with zipfile.ZipFile(partial, "a") as archive:
            archive.writestr(_STATE, json.dumps(state or {}))
        _verify(partial)
        _to_disk(partial)
        os.replace(partial, path)
        _to_disk(path.parent)
    except (OSError, zipfile.BadZipFile) as error:
        partial.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise KsegError(
            f"{path}: the checkpoint could not be written ({reason}); the previous one, if any, is untouched."
        ) from error


def load_state(path: str | Path) -> dict[str, Any]:
    """What `save` was given as `state`; ModelError if the file is not such a checkpoint."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(_STATE))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelError(f"{path}: not a checkpoint of a kseg training ({error}).") from None


def load_into(model: keras.Model, path: str | Path) -> None:
    """Fill a model, with its optimizer if it is compiled, from a checkpoint of the same two."""
    if model.compiled and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    try:
        model.load_weights(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: this checkpoint does not fit the model ({first})") from error


def seed_states(model: keras.Model, *others: Any) -> list[list[int]]:
    """The states of all seed generators: dropout's, and those of `others` (objects with `seed_generator`).

    Keras leaves them out of its files, so that a resumed run would draw other dropout masks.
    """
    return [np.asarray(variable).tolist() for variable in _seed_variables(model, others)]


def set_seed_states(states: list[list[int]], model: keras.Model, *others: Any) -> None:
    """Put back what `seed_states` returned."""
    variables = _seed_variables(model, others)
    if len(states) != len(variables):
        raise ModelError(f"The checkpoint has {len(states)} seed generators and the model {len(variables)}.")
    for variable, state in zip(variables, states, strict=True):
        variable.assign(np.asarray(state, "uint32"))


def _seed_variables(model, others):
    found = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    generators = [getattr(other, "seed_generator", None) for other in others]
    return found + [generator.state for generator in generators if generator is not None]


@contextmanager
def _trained(model: keras.Model, optimizer: bool) -> Iterator[None]:
    """Hide optimizer and loss from `model.save`, whose own switch for it does nothing for `.keras`."""
    if optimizer or not model.compiled:
        yield
        return
    kept, model.optimizer, model.compiled = model.optimizer, None, False
    try:
        yield
    finally:
        model.optimizer, model.compiled = kept, True


def _check_space(model: keras.Model, path: Path, optimizer: bool) -> None:
    variables = list(model.variables)
    if optimizer and model.compiled:
        variables += list(model.optimizer.variables)
    needed = sum(int(np.prod(v.shape)) * np.dtype(_numpy_type(v.dtype)).itemsize for v in variables)
    free = shutil.disk_usage(path.parent).free
    if free < needed + _SPARE_BYTES:
        raise KsegError(
            f"{path}: a checkpoint needs about {needed / 2**20:.0f} MiB and the disk has "
            f"{free / 2**20:.0f} MiB free; the previous checkpoint is untouched. Make space, then start the "
            "same command again."
        )


def _numpy_type(dtype: str) -> str:
    return "float16" if dtype == "bfloat16" else dtype


def _verify(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        missing = {"config.json", "model.weights.h5", _STATE} - set(archive.namelist())
    if damaged or missing:
        raise zipfile.BadZipFile(f"read back, {damaged or ', '.join(sorted(missing))} is damaged or missing")


def _to_disk(path: Path) -> None:
    """Wait until the file, or the folder's list of names, is on the disk."""
    if os.name == "nt" and path.is_dir():  # Windows has no handle for it
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
