"""Training the variants: every finished run is a line of a file, and a second start goes on with what is missing."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

import kseg
from kseg.data import Dataset
from kseg.errors import SettingsError

from .cache import numbered
from .heads import Variant, recipe_of


class Results:
    """The lines of a file, each a finished run or a finished test.

    Args:
        path: the file; it is made with the first line.
    """

    def __init__(self, path: Path):
        self.path = path
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        lines = text.splitlines()
        if text and not text.endswith("\n"):  # a line that was being written when the machine stopped
            lines.pop()
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self.lines = [json.loads(line) for line in lines]

    def find(self, **facts: Any) -> dict[str, Any] | None:
        return next((line for line in self.lines if facts.items() <= line.items()), None)

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def train_all(
    variants: Sequence[Variant],
    seeds: Sequence[int],
    results: Results,
    cache: Path,
    name: str,
    data: tuple[Dataset, Dataset],
    *,
    steps: int,
    limit: int | None = None,
) -> None:
    """Train what is missing, all variants with the first seed before any with the second.

    Args:
        variants: what to train.
        seeds: a run each; with a seed, all variants see the same images in the same order.
        results: where finished runs are, and go.
        cache: the folder that holds a cache for each data set.
        name: of the data set.
        data: its training and validation data, for their classes and names.
        steps: of every training.
        limit: score on so many images of the validation split.

    Raises:
        SettingsError: a finished run had other settings.
    """
    plan = [(variant, seed) for seed in seeds for variant in variants]
    for number, (variant, seed) in enumerate(plan, start=1):
        settings = {"steps": steps, "limit": limit}
        found = results.find(variant=variant.key, data=name, seed=seed)
        if found is None:
            line = train(variant, seed, cache / name, *data, steps=steps, limit=limit)
            results.add({"variant": variant.key, "data": name, "seed": seed, **settings, **line})
            said = f"mean IoU {line['mean_iou']:.4f}, {line['seconds']:.0f} s"
            print(f"{number} of {len(plan)}: {name}, {variant.key}, seed {seed}: {said}", file=sys.stderr, flush=True)
        elif not settings.items() <= found.items():
            raise SettingsError(
                f"{results.path}: {variant.key} with seed {seed} was trained with other settings: give another --out"
            )


def train(
    variant: Variant,
    seed: int,
    cache: Path,
    train: Dataset,
    val: Dataset,
    *,
    steps: int,
    limit: int | None = None,
) -> dict[str, Any]:
    """Train a head by `kseg.training.fit` and score it by `kseg.evaluation.evaluate`, on the features of a cache."""
    wall, processor = time.perf_counter(), time.process_time()
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    views = numbered(cache, train, variant.views)
    recipe = recipe_of(variant, seed, variant.times * steps).replace(size=views.load(0)[1].shape)
    out, init_from = cache / "run", None
    for head in (*variant.before, variant.head):
        model = head(cache, train.num_classes)
        shutil.rmtree(out, ignore_errors=True)
        quiet = {"tensorboard": False, "verbose": False}
        history = kseg.training.fit(model, recipe, views, None, out, init_from=init_from, **quiet)
        init_from = (out / "last.keras").replace(cache / "before.keras")
    report = kseg.evaluation.evaluate(model, numbered(cache, val, limit=limit))
    return {
        "mean_iou": round(float(report.mean_iou), 6),
        "pixel_accuracy": round(float(report.pixel_accuracy), 6),
        "loss": round(float(history[-1]["loss"]), 6),
        "weights": int(sum(w.shape.num_elements() for w in model.trainable_variables)),
        "seconds": round(time.perf_counter() - wall, 1),
        "processor_seconds": round(time.process_time() - processor, 1),
    }
