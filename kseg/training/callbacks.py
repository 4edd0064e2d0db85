"""Keras callbacks of a training run: checkpoints, metrics.csv, one line an epoch, and a stop at NaN."""

import csv
import io
import math
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import keras
import numpy as np

from kseg.errors import KsegError, SettingsError
from kseg.io.atomic import write_text
from kseg.optimizers.schedules import rate_of_last_step
from kseg.training.run import checkpoint


class Checkpoint(keras.callbacks.Callback):
    """Writes `last.keras` after every epoch, and `best.keras` when the score is the best so far.

    `last.keras` is a Keras model file that also carries the optimizer, the step, the epoch, the best
    score and the seed generators, so that a run goes on exactly where it was. `best.keras` has no
    optimizer, which makes it smaller. Both are written as `kseg.training.run.checkpoint.save` does. Weights that
    are no finite numbers are not written: that is a KsegError, and the checkpoint before is kept.

    Args:
        folder: where the two files go.
        monitor: the score in Keras's logs, higher is better. Epochs without it (not validated) write no best.
        best: the best score before this process started, if any.
        seeded: further objects with a `seed_generator` to be kept (a loss with sampling).
        every: also write `last.keras` within an epoch, after so many steps or minutes.
        keep: how many `last` checkpoints to keep; the ones before are `last.1.keras` and so on.
        run: a `Trainer`, whose model is saved, with all that its `state` gives; the model that is trained
            and its seed generators without one.
        writes: False on workers that only take part in collecting.
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
    ):
        super().__init__()
        self.folder, self.monitor, self.seeded = Path(folder), monitor, seeded
        self.best = -math.inf if best is None else best
        self.every, self.keep, self.run, self.writes = every or Every(), keep, run, writes
        self.best_epoch: int | None = None

    def on_train_begin(self, logs=None):
        self._written = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        done = batch + 1
        if done != self.params.get("steps") and self.every.due(done, time.monotonic() - self._written):
            self._save_last(self._epoch)

    def on_epoch_end(self, epoch, logs=None):
        score = (logs or {}).get(self.monitor)
        if score is not None and float(score) > self.best:
            self.best, self.best_epoch = float(score), epoch + 1
            saved = self.model if self.run is None else self.run.model
            with nullcontext() if self.run is None else self.run.with_averages():
                if self.writes:
                    _check_finite(saved)
                    checkpoint.save(saved, self.folder / "best.keras", optimizer=False)
        self._save_last(epoch + 1)

    def _save_last(self, epochs_done):
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
                f"checkpoint before is kept. {_DIVERGED}"
            )


@dataclass(frozen=True)
class Every:
    """How often to write a checkpoint within an epoch: after so many steps, or minutes, or not at all."""

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


class MetricsCsv(keras.callbacks.Callback):
    """Writes one row an epoch to a CSV file: epoch, every number in Keras's logs, the rate used last, seconds.

    A run that continues after `epochs_done` epochs keeps the rows up to there and drops those after, whose
    weights were lost: no epoch is in the file twice.

    Args:
        path: path of the file.
        epochs_done: number of epochs that earlier starts of this run have finished.

    Example:

    >>> callback = kseg.training.MetricsCsv("metrics.csv")
    """

    def __init__(self, path: str | Path, epochs_done: int = 0):
        super().__init__()
        self.path = Path(path)
        self.rows = [row for row in read_metrics(path) if row["epoch"] <= epochs_done]

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        row["learning_rate"] = rate_of_last_step(self.model.optimizer)
        row["seconds"] = round(time.monotonic() - self._start, 2)
        self.rows.append(row)
        columns = list(dict.fromkeys(name for each in self.rows for name in each))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """Read the rows of a metrics.csv.

    Args:
        path: path of the file.

    Returns:
        A list of dicts from column name to number, one an epoch; empty if there is no such file.

    Raises:
        SettingsError: the file is not as kseg wrote it.

    Example:

    >>> kseg.training.read_metrics("metrics.csv")
    []
    """
    if not Path(path).exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [
                {name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)
            ]
        return [{**row, "epoch": int(row["epoch"])} for row in rows]
    except (OSError, ValueError, TypeError, KeyError, OverflowError, csv.Error) as error:
        raise SettingsError(
            f"{path} cannot be read ({error!r}): correct it, or move it away; the run goes on without its rows."
        ) from None


_DIVERGED = (
    "Lower the learning rate or lengthen the warm-up; if it happens at once, run `kseg check-data`; with "
    "mixed_float16, try mixed_bfloat16 or full precision."
)


class StopOnNaN(keras.callbacks.Callback):
    """Raises KsegError in the step whose loss is no finite number; the last checkpoint is from before it.

    Args:
        files: gives the names of the images of a step, from the epoch and the step in it, both from 0.
    """

    def __init__(self, files: Callable[[int, int], list[str]] | None = None):
        super().__init__()
        self.files, self._epoch = files, 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            files = self.files(self._epoch, batch) if self.files else []
            raise KsegError(
                f"The loss is no longer a finite number (step {batch + 1} of the epoch"
                f"{'; its images: ' + ', '.join(files) if files else ''}). The last checkpoint is kept. {_DIVERGED}"
            )


class Progress(keras.callbacks.Callback):
    """One line an epoch with loss, scores and the time that remains; on a terminal also the present step.

    Args:
        epochs: where the run ends.
        steps: steps of an epoch.
        stream: where to write; stderr by default.
        best: gives the best score so far, to mark the epoch that reached it.
    """

    def __init__(
        self, epochs: int, steps: int, stream: TextIO | None = None, best: Callable[[], float] | None = None
    ):
        super().__init__()
        self.epochs, self.steps, self.stream = epochs, steps, stream or sys.stderr
        self.best = best
        self._live = self.stream.isatty()
        self._spent, self._done, self._shown = 0.0, 0, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch, self._start = epoch, time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self._live and now - self._shown > 0.2:
            self._shown = now
            done = (batch + 1) / self.steps
            rest = (now - self._start) / done * (1 - done)
            self._write(
                f"epoch {self._epoch + 1}/{self.epochs} [{'#' * int(20 * done):<20}] "
                f"{batch + 1}/{self.steps}  {_scores(logs)}  epoch ends in {_duration(rest)}"
            )

    def on_test_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self._live and now - self._shown > 0.2:
            self._shown = now
            self._write(f"epoch {self._epoch + 1}/{self.epochs} validating, batch {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        spent = time.monotonic() - self._start
        self._spent, self._done = self._spent + spent, self._done + 1
        rest = self._spent / self._done * (self.epochs - epoch - 1)
        score = (logs or {}).get("val_mean_iou")
        mark = " (best)" if self.best and score is not None and float(score) >= self.best() else ""
        line = f"epoch {epoch + 1}/{self.epochs}  {_scores(logs)}{mark}  {_duration(spent)}"
        self._write(f"{line}, {_duration(rest)} to go" if rest else line, end="\n")

    def _write(self, text, end=""):
        # Return to the first column and clear what is left of a longer line.
        self.stream.write(f"\r\x1b[K{text}{end}" if self._live else f"{text}{end}")
        self.stream.flush()


_NAMES = {"loss": "loss", "mean_iou": "mean IoU", "val_loss": "val loss", "val_mean_iou": "val mean IoU"}


def _scores(logs: dict[str, Any] | None) -> str:
    return "  ".join(
        f"{text} {float(logs[name]):.4f}" for name, text in _NAMES.items() if name in (logs or {})
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
