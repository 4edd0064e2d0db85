"""Training the variants: every finished run is a line of a file, and a second start goes on with what is missing."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras

import kseg
from kseg.data import Dataset
from kseg.errors import SettingsError

from .cache import numbered
from .heads import Variant, recipe_of

RUN = ("variant", "data", "seed", "steps", "limit")  # what tells a run from others
TEST = ("test", "data", "images", "mean_iou", "differences")  # what every test says


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of results, without one that is still being written, or was when the machine stopped.

    Raises:
        SettingsError: a whole line that is none of results.
    """
    found = []
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), start=1):
        if not text.endswith("\n") or not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        needed = TEST if isinstance(line, dict) and "test" in line else (*RUN, "mean_iou")
        if not isinstance(line, dict) or any(key not in line for key in needed):
            raise SettingsError(f"{path}, line {number}: not a run or test of claims.py; remove this line")
        found.append(line)
    return found


class Results:
    """The lines of a file, each a finished run or a finished test.

    Args:
        path: the file; it is made with the first line.
    """

    def __init__(self, path: Path):
        self.path = path
        self.lines = read(path) if path.is_file() else []
        if path.is_file() and not path.read_bytes().endswith(b"\n"):
            self._write()

    def find(self, **facts: Any) -> dict[str, Any] | None:
        return next((line for line in self.lines if facts.items() <= line.items()), None)

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def merge(self, lines: Iterable[dict[str, Any]]) -> None:
        """Take the lines of another file.

        A run or test that is here stays as it is. Once longer runs of a variant on some data have all its seeds, the
        shorter ones go.
        """
        for line in lines:
            same = ("test",) if "test" in line else RUN
            if self.find(**{key: line[key] for key in same}) is None:
                self.lines.append(line)
        seeds: dict[tuple[str, str, int], set[int]] = {}
        for line in self.lines:
            if "variant" in line:
                seeds.setdefault((line["variant"], line["data"], line["steps"]), set()).add(line["seed"])
        outdone = {
            run
            for run, own in seeds.items()
            if any(other[:2] == run[:2] and other[2] > run[2] and own <= found for other, found in seeds.items())
        }
        self.lines = [
            line for line in self.lines if (line.get("variant"), line.get("data"), line.get("steps")) not in outdone
        ]
        self._write()

    def _write(self) -> None:
        part = self.path.with_suffix(".part")
        part.write_text("".join(f"{json.dumps(line)}\n" for line in self.lines), encoding="utf-8")
        os.replace(part, self.path)


def train_all(
    variants: Sequence[Any],
    seeds: Sequence[int],
    results: Results,
    train: Callable[[Any, int], dict[str, Any]],
    **settings: Any,
) -> None:
    """Train what is missing, all variants with the first seed before any with the second.

    Args:
        variants: what to train.
        seeds: a run each; with a seed, all variants see the same images in the same order.
        results: where finished runs are, and go.
        train: from a variant and a seed to the scores.
        **settings: `data`, the name of the data set, and `steps` and `limit` of every run. Runs that had other ones are
            other runs.
    """
    plan = [(variant, seed) for seed in seeds for variant in variants]
    for number, (variant, seed) in enumerate(plan, start=1):
        facts = {"variant": variant.key, "seed": seed, **settings}
        if results.find(**facts) is None:
            line = train(variant, seed)
            results.add({**facts, **line})
            said = f"mean IoU {line['mean_iou']:.4f}, {line['seconds']:.0f} s"
            what = f"{settings['data']}, {variant.key}, seed {seed}"
            print(f"{number} of {len(plan)}: {what}: {said}", file=sys.stderr, flush=True)


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
