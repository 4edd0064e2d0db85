"""Training in step with other workers: who writes, what all agree on, and waiting for each other."""

import json
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import SettingsError
from kseg.training.distribution import cluster
from kseg.training.distribution.strategy import place, sum_over_workers
from kseg.training.run import checkpoint, run_folder


@contextmanager
def together() -> Iterator[bool]:
    """Gives whether this worker is the chief, who alone writes; watches the others, and waits for them at the end."""
    number, count = place()
    if count == 1:
        yield True
        return
    with cluster.watched(cluster.from_environment()):
        yield number == 0
        _wait()


def undone_on_failure(folder: Path, replace: bool) -> AbstractContextManager[None]:
    """`run_folder.all_or_nothing` for the chief; the others' folder is not theirs to change."""
    return nullcontext() if place()[0] else run_folder.all_or_nothing(folder, replace)


def open_run(folder: Path, run: dict[str, Any], resume: bool, also: Any = None) -> dict[str, Any]:
    """`run_folder.open_run` by the chief; the others read what it left, and all make sure that it is the same.

    Args:
        also: what else, in JSON's types, the workers must have in common: else they would wait for each other.

    Raises:
        SettingsError: as there, or the workers do not see the same folder, or have different settings.
    """
    number, count = place()
    if count == 1:
        return run_folder.open_run(folder, run, resume)
    if number == 0:
        found = run_folder.open_run(folder, run, resume)
        _wait()
    else:
        _wait()
        path = checkpoint.newest(folder)
        found = {} if path is None else checkpoint.load_state(path)
    # Runs are the same but for the data's root and the programs' versions.
    start = {name: value for name, value in run.get("start", {}).items() if name != "root"}
    same = json.dumps([{**run, "start": start, "versions": None}, also], sort_keys=True)
    there = int((folder / "recipe.json").exists())
    mine = np.array([found.get("epochs_done", 0), found.get("step", 0), there, zlib.crc32(same.encode())])
    total = sum_over_workers(mine)
    if total[3] != mine[3] * count:
        raise SettingsError(
            "The workers have different settings, data or models: start the same command on all of them."
        )
    if not np.array_equal(total, mine * count) or not mine[2]:
        raise SettingsError(
            f"{folder}: not every worker finds the same run there; give all of them one shared folder."
        )
    return found


def _wait() -> None:
    sum_over_workers(np.zeros(1))
