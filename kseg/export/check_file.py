"""Check an exported file: loaded in its own runtime, compared, scored, timed, its operations counted."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.errors import ModelError, SettingsError
from kseg.export.accuracy import Scores
from kseg.export.conversion.tflite import outside_builtins
from kseg.export.formats import load
from kseg.export.graph import Size, in_float32, inspected
from kseg.export.images import images_and_labels, labelled_data
from kseg.export.parity import Comparison, Parity, as_scores, compiled, holds_indices, least_agreement
from kseg.inference.checks import check_images
from kseg.progress import Progress


@dataclass(frozen=True)
class Check:
    """What `kseg.export.check` found.

    Attributes:
        path: the file.
        format: its format, such as "tflite".
        size: its fixed (height, width), or None.
        bytes: how large it is.
        operations: count of each operation.
        outside: count of those that are not builtins (TFLite only).
        parity: agreement with the Keras model.
        milliseconds: for one image in the file's own runtime, median.
        keras_milliseconds: for one image in the Keras model as a compiled graph, median.
        before: mean IoU of the Keras model at the file's size, 0-1; None without labels.
        after: mean IoU of the file.
        max_drop: what may be lost of it; None: anything.
        min_agreement: fraction of pixels that must get the class that Keras gives them.

    Example:
    ```python
    found = kseg.export.check(model, "model.tflite", (x_val, y_val), max_drop=0.02)
    print(found.table())
    if not found.passed:
        print(found.reasons)
    ```
    """

    path: str
    format: str
    size: Size | None
    bytes: int
    operations: dict[str, int]
    outside: dict[str, int]
    parity: Parity
    milliseconds: float
    keras_milliseconds: float
    before: float | None
    after: float | None
    max_drop: float | None
    min_agreement: float = 0.0

    @property
    def drop(self) -> float | None:
        """Mean IoU lost by exporting; negative where the file happens to be better."""
        return None if self.before is None or self.after is None else self.before - self.after

    @property
    def passed(self) -> bool:
        """Builtins only, enough pixels of the same class, and no more mean IoU lost than allowed."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the file may not be used; empty where it may."""
        found = []
        if self.outside:
            found.append(f"operations outside of TFLite's builtins: {', '.join(self.outside)}")
        if self.parity.agreement < self.min_agreement:
            found.append(
                f"only {self.parity.agreement:.1%} of the pixels get the class that Keras gives them, at least "
                f"{self.min_agreement:.1%} are expected"
            )
        if self.max_drop is not None and self.drop is not None and self.drop > self.max_drop:
            found.append(f"mean IoU lost {self.drop:.4f}, allowed {self.max_drop:.4f}")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Put the findings into plain data.

        Returns:
            A dict that `json.dump` takes.
        """
        return {
            "path": self.path,
            "format": self.format,
            "size": None if self.size is None else list(self.size),
            "bytes": self.bytes,
            "operations": self.operations,
            "outside": self.outside,
            "parity": self.parity.to_json(),
            "milliseconds": self.milliseconds,
            "keras_milliseconds": self.keras_milliseconds,
            "mean_iou_before": self.before,
            "mean_iou_after": self.after,
            "drop": self.drop,
            "max_drop": self.max_drop,
            "min_agreement": self.min_agreement,
            "reasons": list(self.reasons),
            "passed": self.passed,
        }

    def table(self) -> str:
        """Put the findings into a table for a reader.

        Returns:
            A text of one line per finding, the verdict last.
        """
        size = "any" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        rows = [
            ("file", f"{self.path} ({self.format}, {self.bytes / 1e6:.2f} MB, input {size})"),
            (
                "same class as Keras",
                f"{self.parity.agreement:.3%} of {self.parity.pixels:,} pixels, expected {self.min_agreement:.1%}",
            ),
            (
                "largest difference",
                f"{self.parity.largest_difference:.3g} (largest logit {self.parity.largest_logit:.3g})",
            ),
            (
                "one image",
                f"{self.milliseconds:.1f} ms; Keras graph {self.keras_milliseconds:.1f} ms "
                f"({self.keras_milliseconds / max(self.milliseconds, 1e-9):.2f}x)",
            ),
            ("operations", ", ".join(f"{count} {name}" for name, count in self.operations.items())),
        ]
        if self.format == "tflite":
            outside = ", ".join(f"{count} {name}" for name, count in self.outside.items())
            rows.append(("outside builtins", outside or "none"))
        if self.drop is not None:
            allowed = "" if self.max_drop is None else f", allowed {self.max_drop:.4f}"
            iou = f"{self.before:.4f} -> {self.after:.4f}, lost {self.drop:+.4f}{allowed}"
            rows.insert(3, ("mean IoU", iou))
        rows.append(("verdict", "passed" if self.passed else f"FAILED: {'; '.join(self.reasons)}"))
        return "\n".join(f"{name:<20} {value}" for name, value in rows)


def check(
    model: keras.Model,
    path: str | Path,
    data: Any = None,
    *,
    max_drop: float | None = None,
    min_agreement: float | None = None,
    output: str | None = None,
    limit: int | None = None,
    repeats: int = 5,
    progress: Progress | None = None,
) -> Check:
    """Load an exported file in its own runtime and compare it with the Keras model.

    Args:
        model: the Keras model.
        path: its .tflite or .onnx file, or a SavedModel's version folder.
        data: labelled images, whose labels give the mean IoU before and after: a `kseg.data.Dataset`, or what
            `kseg.data.as_dataset` takes (`(x, y)`, a `tf.data.Dataset`, ...). Or an iterable of images
            `(height, width, channels)`, 0-255; None: random images. They are resized to the file's size, and
            predictions to the labels' size (nearest) before they are counted.
        max_drop: mean IoU that may be lost (0.02 is two points); needs labels.
        min_agreement: fraction of pixels that must get the class that Keras gives them; None: by the precision of
            the file, as `kseg.export.tflite` has it.
        output: what the Keras model's output is, see `kseg.export.tflite`.
        limit: at most that many images, evenly spaced.
        repeats: timed runs.
        progress: called with (images compared, images in all).

    Returns:
        `Check`; its `passed` says whether the file may be used.

    Raises:
        ModelError: a file that its runtime cannot run, or outputs of another shape.
        SettingsError: `max_drop` without labels.

    Example:
    ```python
    kseg.export.tflite(model, "model.tflite", size=(256, 256))
    print(kseg.export.check(model, "model.tflite", (x_val, y_val)).table())
    ```
    """
    info = inspected(model, output)
    classes = getattr(model, "classes", None)
    dataset = labelled_data(data, classes if len(classes or ()) == info.num_classes else info.num_classes)
    data = data if dataset is None else dataset
    # Whether `data` has labels; they must be those that the model knows.
    labelled = hasattr(data, "load") and hasattr(data, "classes")
    if max_drop is not None and not labelled:
        raise SettingsError("`max_drop` compares mean IoU and needs a labelled data set (--data)")
    if labelled:
        check_images(info, data)
    if labelled and info.multilabel:
        raise SettingsError("Classes that overlap are compared on images alone: give them without labels")
    if labelled and len(data.classes) != info.num_classes:
        raise ModelError(
            f"The model has {info.num_classes} classes, the data set {data.name} {len(data.classes)}"
        )
    exported, reference = load(path, trust=True), compiled(in_float32(model), info)
    even = info.even if info.multilabel else None
    comparison, scores = Comparison(holds_indices(model), even), Scores(data if labelled else None)
    images = images_and_labels(data, labelled, exported.size, info, limit)
    for number, (batch, truth) in enumerate(images, 1):
        outputs = reference(batch), as_scores(info, exported(batch))
        comparison.add(*outputs)
        scores.add(outputs, truth)
        if progress is not None and hasattr(data, "__len__"):
            progress(number, min(limit or len(data), len(data)))
    times = [_milliseconds(run, batch, repeats) for run in (exported, reference)]
    return Check(
        str(path),
        exported.format,
        exported.size,
        sum(file.stat().st_size for file in (Path(path), *Path(path).rglob("*")) if file.is_file()),
        dict(exported.operations.most_common()),
        outside_builtins(exported.operations) if exported.format == "tflite" else {},
        comparison.parity(),
        *times,
        *scores.mean_iou(),
        max_drop,
        least_agreement(exported.metadata.get("precision", "float32"), min_agreement, comparison.indices),
    )


def _milliseconds(run: Callable[[np.ndarray], np.ndarray], batch: np.ndarray, repeats: int) -> float:
    run(batch)
    times = []
    for _ in range(max(repeats, 1)):
        start = time.perf_counter()
        run(batch)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)
