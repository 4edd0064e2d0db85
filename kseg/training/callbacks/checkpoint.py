"""`Checkpoint`: last.keras and best.keras of a training run."""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.errors import KsegError, SettingsError
from kseg.training.callbacks.stop_on_nan import DIVERGED
from kseg.training.run import checkpoint


class Checkpoint(keras.callbacks.Callback):
    """Writes `last.keras` after every epoch, and `best.keras` when the score is the best so far.

    `last.keras` is a Keras model file that also carries the optimizer, the step, the epoch, the best
    score and the seed generators, so that a run goes on exactly where it was. `best.keras` has no
    optimizer, which makes it smaller. Both are written as `kseg.training.run.checkpoint.save` does. Weights that
    are no finite numbers are not written: that is a KsegError, and the checkpoint before is kept.

    Args:
        folder: path of an existing folder for the two files.
        monitor: name of the score in Keras's logs; higher is better. Epochs without it (not validated) write no
            `best.keras`.
        best: the best score before this process started, or None.
        seeded: further objects with a `seed_generator` whose state is kept, such as a loss with sampling.
        every: an `Every`, to write `last.keras` within an epoch too, after a number of steps or minutes; None for the
            end of the epoch only.
        keep: number of `last` checkpoints to keep; the ones before the last are `last.1.keras` and so on.
        run: a `Trainer`, whose model is saved, with all that its `state` gives; None saves the model that is trained
            and its seed generators.
        writes: False on workers that only take part in collecting.

    Raises:
        KsegError: from the end of an epoch, where a weight is no finite number.
        FileError: likewise, where the file cannot be written.

    Example:

    >>> callback = kseg.training.Checkpoint("runs/a", monitor="val_mean_iou", keep=2)
    """

    def __init__(
        self,
        folder: str | Path,
        monitor: str = "val_mean_iou",
        best: float | None = None,
        seeded: tuple[Any, ...] = (),
        *,
        every: "Every | None" = None,
        keep: int = 1,
        run: Any = None,
        writes: bool = True,
    ) -> None:
        super().__init__()
        self.folder, self.monitor, self.seeded = Path(folder), monitor, seeded
        self.best = -math.inf if best is None else best
        self.every, self.keep, self.run, self.writes = every or Every(), keep, run, writes
        self.best_epoch: int | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._written = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        done = batch + 1
        if done != self.params.get("steps") and self.every.due(done, time.monotonic() - self._written):
            self._save_last(self._epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        score = (logs or {}).get(self.monitor)
        if score is not None and float(score) > self.best:
            self.best, self.best_epoch = float(score), epoch + 1
            saved = self.model if self.run is None else self.run.model
            with nullcontext() if self.run is None else self.run.with_averages():
                if self.writes:
                    _check_finite(saved)
                    checkpoint.save(saved, self.folder / "best.keras", optimizer=False)
        self._save_last(epoch + 1)

    def _save_last(self, epochs_done: int) -> None:
        if self.run is None:
            saved, arrays = self.model, {}
            state = {"epochs_done": epochs_done, "seeds": checkpoint.seed_states(saved, *self.seeded)}
        else:
            saved = self.run.model
            state, arrays = self.run.state()
        state |= {"best": None if self.best == -math.inf else self.best, "best_epoch": self.best_epoch}
        if self.writes:
            _check_finite(saved)
            optimizer = self.run is None or self.run.optimizer_in_model
            checkpoint.save(
                saved, self.folder / "last.keras", state, arrays=arrays, optimizer=optimizer, keep=self.keep
            )
        self._written = time.monotonic()


def _check_finite(model: keras.Model) -> None:
    for variable in model.variables:
        value = np.asarray(variable)
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise KsegError(
                f"The weights {variable.path} are no longer finite numbers, though the loss still was; the "
                f"checkpoint before is kept. {DIVERGED}"
            )


@dataclass(frozen=True)
class Every:
    """How often to write a checkpoint within an epoch: after a number of steps or minutes, or not at all."""

    steps: int | None = None
    minutes: float | None = None

    @classmethod
    def parse(cls, text: str) -> "Every":
        """ "500" is steps and "10m" minutes; SettingsError for anything else."""
        number = text.removesuffix("m")
        try:
            found = cls(minutes=float(number)) if number != text else cls(steps=int(number))
        except ValueError:
            found = cls(steps=0)
        if not 0 < (found.steps or found.minutes or 0) < 1e9:
            raise SettingsError(
                f"`checkpoint_every` is {text!r}: give a number of steps, such as 500, or of minutes, such as 10m."
            )
        return found

    def due(self, steps_of_epoch: int, seconds: float) -> bool:
        by_steps = self.steps is not None and steps_of_epoch % self.steps == 0
        return by_steps or (self.minutes is not None and seconds >= 60 * self.minutes)
