"""`MetricsCsv`: the scores of a training, one row an epoch."""

import csv
import io
import time
from pathlib import Path
from typing import Any

import keras

from kseg.errors import SettingsError
from kseg.io.atomic import write_text
from kseg.optimizers.schedules import rate_of_last_step


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

    def __init__(self, path: str | Path, epochs_done: int = 0) -> None:
        super().__init__()
        self.path = Path(path)
        self.rows = [row for row in read_metrics(path) if row["epoch"] <= epochs_done]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        row["learning_rate"] = rate_of_last_step(self.model.optimizer)
        row["seconds"] = round(time.monotonic() - self._start, 2)
        self.rows.append(row)
        columns = list(dict.fromkeys(name for each in self.rows for name in each))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue(), make_folder=False)  # deleted meanwhile: training stops


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
