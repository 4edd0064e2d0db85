"""Keras callbacks of a training run: checkpoints, metrics.csv, one line an epoch, and a stop at NaN."""

import csv
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import keras

from kseg.errors import KsegError
from kseg.training import checkpoint


class Checkpoint(keras.callbacks.Callback):
    """Writes `last.keras` after every epoch, and `best.keras` when the score is the best so far.

    `last.keras` is a Keras model file that also carries the optimizer, the step, the epoch, the best
    score and the seed generators, so that a run goes on exactly where it was. `best.keras` has no
    optimizer, which makes it smaller. Both are written as `kseg.training.checkpoint.save` does.

    Args:
        folder: where the two files go.
        monitor: the score in Keras's logs, higher is better. Epochs without it (not validated) write no best.
        best: the best score before this process started; -inf for none.
        seeded: further objects with a `seed_generator` to be kept (a loss with sampling).
    """

    def __init__(
        self,
        folder: str | Path,
        monitor: str = "val_mean_iou",
        best: float = -math.inf,
        seeded: tuple[Any, ...] = (),
    ):
        super().__init__()
        self.folder, self.monitor, self.best, self.seeded = Path(folder), monitor, best, seeded
        self.best_epoch: int | None = None

    def on_epoch_end(self, epoch, logs=None):
        score = (logs or {}).get(self.monitor)
        if score is not None and float(score) > self.best:
            self.best, self.best_epoch = float(score), epoch + 1
            checkpoint.save(self.model, self.folder / "best.keras", optimizer=False)
        state = {
            "epochs_done": epoch + 1,
            "best": None if self.best == -math.inf else self.best,
            "best_epoch": self.best_epoch,
            "seeds": checkpoint.seed_states(self.model, *self.seeded),
        }
        checkpoint.save(self.model, self.folder / "last.keras", state)


class MetricsCsv(keras.callbacks.Callback):
    """Writes one row an epoch to a CSV file: epoch, every number in Keras's logs, learning rate, seconds.

    A run that goes on after `epochs_done` epochs keeps the rows up to there and drops those after, whose
    weights were lost: no epoch stands there twice.
    """

    def __init__(self, path: str | Path, epochs_done: int = 0):
        super().__init__()
        self.path = Path(path)
        self.rows = [row for row in read_metrics(path) if row["epoch"] <= epochs_done]

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        row["learning_rate"] = float(self.model.optimizer.learning_rate)
        row["seconds"] = round(time.monotonic() - self._start, 2)
        self.rows.append(row)
        columns = list(dict.fromkeys(name for each in self.rows for name in each))
        partial = self.path.with_name(f".{self.path.name}.partial")
        with open(partial, "w", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        os.replace(partial, self.path)


def read_metrics(path: str | Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv; none if there is no such file."""
    if not Path(path).exists():
        return []
    with open(path, newline="") as file:
        rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [{**row, "epoch": int(row["epoch"])} for row in rows]


class StopOnNaN(keras.callbacks.Callback):
    """Raises KsegError in the step whose loss is no finite number; `last.keras` is the epoch before."""

    def on_train_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(float(loss)):
            raise KsegError(
                f"The loss is no longer a finite number (step {batch + 1} of the epoch). The checkpoint of "
                "the last whole epoch is kept. Lower the learning rate or lengthen the warm-up; if it "
                "happens at once, run `kseg check-data`; with mixed_float16, try mixed_bfloat16 or full "
                "precision."
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
