"""`Progress`: one line an epoch on the terminal or in a log."""

import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

import keras


class Progress(keras.callbacks.Callback):
    """One line an epoch with loss, scores and the time that remains; on a terminal also the present step.

    Args:
        epochs: number of epochs of the whole run.
        steps: number of steps of an epoch.
        stream: text stream to write to; stderr by default.
        best: a function that gives the best score so far, to mark the epoch that reached it; or None.

    Example:

    >>> callback = kseg.training.Progress(epochs=2, steps=10, stream=sys.stdout)
    >>> callback.on_epoch_begin(1)
    >>> callback.on_epoch_end(1, {"loss": 0.5})
    epoch 2/2  loss 0.5000  0 s
    """

    def __init__(
        self, epochs: int, steps: int, stream: TextIO | None = None, best: Callable[[], float] | None = None
    ) -> None:
        super().__init__()
        self.epochs, self.steps, self.stream = epochs, steps, stream or sys.stderr
        self.best = best
        self._live = self.stream.isatty()
        self._spent, self._done, self._shown = 0.0, 0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch, self._start = epoch, time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        if self._live and now - self._shown > 0.2:
            self._shown = now
            done = (batch + 1) / self.steps
            rest = (now - self._start) / done * (1 - done)
            self._write(
                f"epoch {self._epoch + 1}/{self.epochs} [{'#' * int(20 * done):<20}] "
                f"{batch + 1}/{self.steps}  {_scores(logs)}  epoch ends in {_duration(rest)}"
            )

    def on_test_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        now = time.monotonic()
        if self._live and now - self._shown > 0.2:
            self._shown = now
            self._write(f"epoch {self._epoch + 1}/{self.epochs} validating, batch {batch + 1}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        spent = time.monotonic() - self._start
        self._spent, self._done = self._spent + spent, self._done + 1
        rest = self._spent / self._done * (self.epochs - epoch - 1)
        score = (logs or {}).get("val_mean_iou")
        mark = " (best)" if self.best and score is not None and float(score) >= self.best() else ""
        line = f"epoch {epoch + 1}/{self.epochs}  {_scores(logs)}{mark}  {_duration(spent)}"
        self._write(f"{line}, {_duration(rest)} to go" if rest else line, end="\n")

    def _write(self, text: str, end: str = "") -> None:
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
