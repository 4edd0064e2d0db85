"""Try precisions and sizes, and keep the fastest TFLite file within a budget of lost accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kseg.errors import SettingsError
from kseg.export.check_file import Check, check
from kseg.export.conversion.tflite import PRECISIONS, tflite
from kseg.export.graph import Size, inspected
from kseg.export.images import labelled_data
from kseg.io.atomic import put_in_place, temporary_path
from kseg.progress import Progress


@dataclass(frozen=True)
class Trial:
    """One file that was tried: precision, check, and the mean IoU lost against the best Keras size."""

    precision: str
    check: Check
    lost: float


@dataclass(frozen=True)
class Choice:
    """What `kseg.export.auto` tried, and which file it wrote.

    Attributes:
        trials: one per file: its `precision`, its `check` and the mean IoU `lost` against the best Keras
            size.
        chosen: index of the trial that was written; None: none was within the budget.
        max_drop: the budget, mean IoU that may be lost.

    Example:
    ```python
    choice = kseg.export.auto(model, "model.tflite", (x_val, y_val), sizes=[(256, 256)])
    print(choice.table())
    ```
    """

    trials: tuple[Trial, ...]
    chosen: int | None
    max_drop: float

    def to_json(self) -> dict[str, Any]:
        """Put the trials into plain data.

        Returns:
            A dict that `json.dump` takes.
        """
        tried = [{"precision": t.precision, "lost": t.lost, **t.check.to_json()} for t in self.trials]
        return {"trials": tried, "chosen": self.chosen, "max_drop": self.max_drop}

    def table(self) -> str:
        """Put the trials into a table for a reader.

        Returns:
            A text of one line per trial; a star marks the chosen one.
        """
        lines = ["  size       precision   ms      MB     mean IoU  lost"]
        for number, trial in enumerate(self.trials):
            one, mark = trial.check, "*" if number == self.chosen else " "
            size = f"{one.size[0]}x{one.size[1]}"
            lines.append(
                f"{mark} {size:<10} {trial.precision:<10} {one.milliseconds:>6.1f}  {one.bytes / 1e6:>6.2f}  "
                f"{one.after:>8.4f}  {trial.lost:+.4f}"
            )
        return "\n".join(lines)


def auto(
    model: keras.Model,
    path: str | Path,
    dataset: Any,
    *,
    sizes: Sequence[Size],
    max_drop: float = 0.02,
    precisions: Sequence[str] = PRECISIONS,
    calibration: Any = None,
    class_ids: bool = False,
    limit: int | None = 100,
    min_agreement: float | None = None,
    output: str | None = None,
    progress: Progress | None = None,
) -> Choice:
    """Write the fastest .tflite file that loses at most `max_drop` mean IoU.

    Every precision is tried at every size; the loss is counted against the Keras model at the size where that
    is best, on the labels' own resolution.

    Args:
        model: see `kseg.export.tflite`.
        path: the file.
        dataset: labelled images that decide: a `kseg.data.Dataset`, or what `kseg.data.as_dataset` takes.
        sizes: (height, width) to try.
        max_drop: mean IoU that may be lost, 0-1.
        precisions: those to try, see `kseg.export.tflite`.
        calibration: images for int8; without them int8 is calibrated on `dataset`.
        class_ids: see `kseg.export.tflite`.
        limit: at most that many images for each check.
        min_agreement: see `kseg.export.tflite`; a file that agrees less is not chosen.
        output: see `kseg.export.tflite`.
        progress: called with (files tried, files in all).

    Returns:
        `Choice`. Where no file is within the budget nothing is written and `chosen` is None.

    Raises:
        SettingsError: no sizes or precisions.

    Example:
    ```python
    choice = kseg.export.auto(model, "model.tflite", (x_val, y_val), sizes=[(192, 192), (256, 256)])
    ```
    """
    pairs = [(tuple(size), precision) for size in sizes for precision in precisions]
    if not pairs:
        raise SettingsError("Nothing to try: `sizes` and `precisions` need at least one entry each")
    classes = getattr(model, "classes", None) or inspected(model, output).num_classes
    labelled = labelled_data(dataset, classes)  # once, and not for every file
    dataset = dataset if labelled is None else labelled
    calibration, checks = dataset if calibration is None else calibration, []
    with temporary_path(path) as folder:
        folder.mkdir()
        for number, (size, precision) in enumerate(pairs):
            file = folder / f"{number}.tflite"
            more = {
                "precision": precision,
                "calibration": calibration,
                "class_ids": class_ids,
                "output": output,
            }
            tflite(model, file, size=size, min_agreement=0.0, **more)
            found = check(model, file, dataset, limit=limit, min_agreement=min_agreement, output=output)
            checks.append(found)
            if progress is not None:
                progress(number + 1, len(pairs))
        best = max(one.before for one in checks)  # of the Keras model, at the size where that is best
        tried = zip(pairs, checks, strict=True)
        trials = tuple(Trial(precision, one, best - one.after) for (_, precision), one in tried)
        inside = [n for n, trial in enumerate(trials) if trial.lost <= max_drop and trial.check.passed]
        fastest = min(inside, key=lambda n: trials[n].check.milliseconds, default=None)
        choice = Choice(trials, fastest, max_drop)
        if choice.chosen is not None:
            put_in_place(folder / f"{choice.chosen}.tflite", path)
    return choice
