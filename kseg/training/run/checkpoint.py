"""Checkpoints that a crash or a full disk cannot destroy, and that carry all that a run needs to go on."""

import errno
import io
import json
import os
import shutil
import stat
import sys
import warnings
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from kseg.errors import FileError, ModelError
from kseg.io.archive import check_archive, open_hdf5
from kseg.io.atomic import put_in_place, remove, sync, temporary_path, write_errors
from kseg.models.loading.model_file import without_optimizer

# Beside Keras's own members of the .keras archive, which Keras's loader passes over.
_STATE, _ARRAYS = "kseg_training.json", "kseg_training.npz"
_MEMBERS = {"config.json", "model.weights.h5", _STATE, _ARRAYS}


def save(
    model: keras.Model,
    path: str | Path,
    state: dict[str, Any] | None = None,
    *,
    arrays: dict[str, np.ndarray] | None = None,
    optimizer: bool = True,
    keep: int = 1,
) -> None:
    """Write `model` to `path` (`.keras`) so that at every moment the old or the new file is there, whole.

    The file is put together in memory, written beside the target, forced to the disk, read back, and renamed.
    Keras's own `model.save` writes over the old file, and a full disk then leaves neither.

    Args:
        model: the model; with its optimizer's state if `optimizer` and it is compiled.
        path: the target, ending in `.keras`.
        state: what else to keep, in JSON's types; `load_state` returns it.
        arrays: likewise, NumPy arrays by name; `load_arrays` returns them.
        keep: how many checkpoints to keep in all: the ones before stay as `last.1.keras`, `last.2.keras`, ...

    Raises:
        FileError: no space, no folder, or the file written cannot be read back; the old file is untouched then.
    """
    write(path, _serialised(model, state, arrays, optimizer), keep)


def write(path: str | Path, content: bytes, keep: int = 1) -> None:
    """`save` for a checkpoint that is already put together."""
    path = Path(path)
    with write_errors(path):
        if not path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, "the folder of the run is gone")
        needed = len(content)
        free = shutil.disk_usage(path.parent).free
        if free < needed + needed // 16:
            raise FileError(
                f"{path}: a checkpoint needs {needed / 2**20:.1f} MiB and the disk has {free / 2**20:.1f} MiB free; "
                "the previous checkpoint is untouched. Make space, then start the same training again.",
                OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
            )
        with temporary_path(path) as part:
            part.write_bytes(content)
            sync(part)
            if not holds(part, content):
                raise OSError(errno.EIO, "read back, it is not what was written")
            _rotate(path, keep)
            put_in_place(part, path)


def newest(folder: str | Path, name: str = "last") -> Path | None:
    """The newest checkpoint of a folder that is whole, `last.keras` or one kept before it; None if there is none.

    Raises:
        ModelError: there are checkpoints and all of them are damaged.
    """
    reasons = []
    for path in present(folder, name):
        try:
            verify(path)
            return path
        except ModelError as error:
            reasons.append(str(error).rstrip("."))
    if reasons:
        raise ModelError(
            f"No checkpoint here is whole ({'; '.join(reasons)}); resume=False starts the run again."
        )
    return None


def exists(folder: str | Path) -> bool:
    """Whether a folder has a checkpoint to go on from, whole or not."""
    return bool(present(folder))


def recovered(folder: str | Path) -> Path | None:
    """`newest`, which takes the place of a `last.keras` that is damaged or gone."""
    found = newest(folder)
    return found if found is None or found.name == "last.keras" else take_the_place(found)


def take_the_place(older: Path) -> Path:
    """Make an older checkpoint the last one, lest the next keep a damaged one instead of it.

    What was called `last.keras` stays as `last.damaged`.
    """
    last = older.with_name("last.keras")
    print(
        f"kseg: {last} is damaged or gone; the checkpoint before it, {older.name}, takes its place.",
        file=sys.stderr,
    )
    with write_errors(last):
        if os.path.lexists(last):
            aside = last.with_name("last.damaged")
            remove(aside)
            os.rename(last, aside)
        os.replace(older, last)
        sync(last.parent)
    return last


def holds(path: Path, content: bytes) -> bool:
    """Whether a file is these bytes; read piece by piece, so that it takes no memory of its size."""
    at = 0
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            if piece != content[at : at + len(piece)]:
                return False
            at += len(piece)
    return at == len(content)


def verify(path: Path) -> None:
    """Read a checkpoint from end to end: ModelError if a byte or a part of it is not what was written."""
    with damage_errors(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ValueError("it is not a file")
        check_archive(path)
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
            missing = _MEMBERS - {_ARRAYS} - set(archive.namelist())
            if damaged or missing:
                raise ValueError(f"{damaged or ', '.join(sorted(missing))} is damaged or missing")
            json.loads(archive.read("config.json"))
            weights = io.BytesIO(archive.read("model.weights.h5"))
        load_state(path)
        load_arrays(path)
        with open_hdf5(weights, path) as file:
            file.visititems(lambda _, item: np.asarray(item) if isinstance(item, h5py.Dataset) else None)


@contextmanager
def damage_errors(path: str | Path) -> Iterator[None]:
    """Whatever a damaged file makes zipfile, json, NumPy or HDF5 raise, as a ModelError of one sentence."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # the list of what they raise has no end
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(
            f"{path}: not a checkpoint of a kseg training, or damaged ({reason[:200]})."
        ) from error


def load_state(path: str | Path) -> dict[str, Any]:
    """What `save` was given as `state`; ModelError if the file is not such a checkpoint, or made to deceive."""
    check_archive(path)
    with damage_errors(path), zipfile.ZipFile(path) as archive:
        state = json.loads(archive.read(_STATE))
        if not isinstance(state, dict):
            raise ValueError("its state is not a JSON object")
        numbers = [state.get(name, 0) for name in ("epochs_done", "step")]
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("it does not say where the run stands")
    return state


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """What `save` was given as `arrays`; none for a checkpoint of kseg before it kept any."""
    with damage_errors(path), zipfile.ZipFile(path) as archive:
        if _ARRAYS not in archive.namelist():
            return {}
        with np.load(io.BytesIO(archive.read(_ARRAYS)), allow_pickle=False) as arrays:
            return dict(arrays)


def load_into(model: keras.Model, path: str | Path, *, optimizer: bool = True) -> None:
    """Fill a model, with its optimizer if it is compiled (and `optimizer`), from a checkpoint of the same two."""
    if optimizer and model.compiled and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    with damage_errors(path), zipfile.ZipFile(path) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with open_hdf5(weights, path):
        pass  # looked at, and refused where it draws on other files
    try:
        with nullcontext() if optimizer else without_optimizer(model), warnings.catch_warnings():
            warnings.filterwarnings("error", "Skipping")  # what Keras cannot load it leaves as it was
            model.load_weights(path)
    except Exception as error:  # Keras raises many kinds
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: this checkpoint does not fit the model ({first}).") from error


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


def _seed_variables(model: keras.Model, others: tuple[Any, ...]) -> list[Any]:
    found = [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
    generators = [getattr(other, "seed_generator", None) for other in others]
    return found + [generator.state for generator in generators if generator is not None]


class _Memory(io.BytesIO):
    """A file in memory that passes Keras's check of the ending."""

    def __str__(self) -> str:
        return "memory.keras"


def _serialised(
    model: keras.Model, state: dict[str, Any] | None, arrays: dict[str, np.ndarray] | None, optimizer: bool
) -> bytes:
    # HDF5 that meets a full disk while it writes ends the process; in memory it meets none.
    memory = _Memory()
    # In a thread of its own, which is in no strategy's scope: there, Keras makes variables, which all workers
    # would have to make together.
    with nullcontext() if optimizer else without_optimizer(model), ThreadPoolExecutor(1) as pool:
        pool.submit(model.save, memory).result()
    packed = io.BytesIO()
    np.savez(packed, **(arrays or {}))
    with zipfile.ZipFile(memory, "a") as archive:
        archive.writestr(_STATE, json.dumps(state or {}))
        archive.writestr(_ARRAYS, packed.getvalue())
    # Not `getbuffer()`: a view in a traceback crashes the garbage collector of Python 3.12.1 (CPython's gh-111049).
    return memory.getvalue()


def present(folder: str | Path, name: str = "last") -> list[Path]:
    """Everything in a folder that is called a checkpoint, newest first."""
    last = Path(folder) / f"{name}.keras"
    return [path for path in (last, *_older(Path(folder), name)) if path.exists()]


def _older(folder: Path, name: str) -> list[Path]:
    """The checkpoints kept before the last, newest first."""
    numbered = []
    for path in folder.glob(f"{name}.*.keras"):
        with suppress(ValueError):
            numbered.append((int(path.name.split(".")[-2]), path))
    return [path for _, path in sorted(numbered)]


def _rotate(path: Path, keep: int) -> None:
    """Give the checkpoint at `path` a second name, `last.1.keras`, and those before it the next number."""
    older = _older(path.parent, path.stem)
    for number, old in reversed(list(enumerate(older, 1))):
        if number >= keep - 1:
            remove(old)
        else:
            os.replace(old, path.with_name(f"{path.stem}.{number + 1}.keras"))
    if keep > 1 and path.exists():
        try:
            os.link(path, path.with_name(f"{path.stem}.1.keras"))
        except OSError:  # a file system without second names
            shutil.copyfile(path, path.with_name(f"{path.stem}.1.keras"))
