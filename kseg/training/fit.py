"""`fit`: train a segmentation model by a recipe into a run folder, and go on where a run was broken off."""

import math
import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from kseg.data import Dataset, user_errors
from kseg.errors import ModelError
from kseg.training import callbacks
from kseg.training.compilation import class_weights, freeze, loss_of
from kseg.training.distribution import workers
from kseg.training.distribution.strategy import place
from kseg.training.memory import keep_freed_memory
from kseg.training.normalization import single_value_errors
from kseg.training.recipes.recipe import Recipe
from kseg.training.run import checkpoint, run_folder
from kseg.training.run.bad_data import SkippingDataset, files_of_step
from kseg.training.run.compatibility import batch_size, check, check_labels, check_normalization
from kseg.training.tensorboard import TensorBoard
from kseg.training.trainer import Trainer


@dataclass(frozen=True)
class _Run:
    """A training as `fit` was asked for it, in numbers and objects.

    Args:
        length: optimizer steps an epoch.
        weights: the class weights of the loss.
        chief: whether this worker writes the folder.
    """

    recipe: Recipe
    train: Dataset | SkippingDataset
    val: Dataset | SkippingDataset | None
    out: Path
    length: int
    weights: tuple[float, ...] | None
    chief: bool
    verbose: bool
    tensorboard: bool

    def say(self, text: str) -> None:
        if self.verbose:
            print(text, file=sys.stderr)


def fit(
    model: keras.Model,
    recipe: Recipe,
    train: Dataset,
    val: Dataset | None,
    out: str | Path,
    *,
    model_name: str | None = None,
    resume: bool = True,
    verbose: bool = True,
    tensorboard: bool = True,
    checkpoint_every: str | None = None,
    keep: int = 1,
    skip_bad: bool = False,
    start: dict[str, Any] | None = None,
) -> list[dict[str, float]]:
    """Train `model` on `train`, validate on the whole pictures of `val`, and write the run into folder `out`.

    The folder gets recipe.json (the resolved settings), metrics.csv, last.keras after every epoch and best.keras by
    validation mean IoU. The same call again goes on after the last checkpoint, exactly. Under
    `kseg.training.strategy` all its devices and machines share every batch.

    Args:
        model: a `Segmenter`, or any Keras model from pictures `(batch, height, width, 3)`, 0-255, to logits of
            their size. Build it with `recipe.mixed_precision`, and after `keras.utils.set_random_seed(recipe.seed)`
            if the run is to be repeatable.
        recipe: the settings.
        train, val: what to train on, and to validate on; without `val` there is no `best.keras`.
        out: the run folder; it is made. Several machines need one that all of them see.
        model_name: what recipe.json calls the model; its Keras name by default.
        resume: go on with the run in `out`; False replaces it.
        verbose: one line an epoch on stderr, and the steps on a terminal.
        tensorboard: write `tensorboard/`.
        checkpoint_every: write `last.keras` within an epoch too: "500", every 500 steps; "10m", every 10 minutes.
        keep: how many of the last checkpoints to keep; those before the last are `last.1.keras` and so on.
        skip_bad: let the next picture take the place of one that cannot be used, up to 1 % of them.
        start: what else must be the same (but for "root") when the run goes on; recipe.json holds it.

    Returns:
        One dict an epoch, the rows of `metrics.csv`, those of earlier starts included.

    Raises:
        SettingsError: the recipe does not fit the model or the data, or `out` holds another run, or one that another
            process trains at this moment.
        DataError: a picture or mask that cannot be used; the message names it.
        KsegError: the loss became NaN, the disk is full, or another machine died; the last checkpoint is kept.
    """
    out, every = Path(out), None if checkpoint_every is None else callbacks.Every.parse(checkpoint_every)
    check(model, recipe, train, val, every)
    _prepare(recipe)
    if skip_bad:
        train, val = SkippingDataset(train), None if val is None else SkippingDataset(val, blank=True)
    check_labels(train, val, model.output_shape[-1])
    freeze(model, recipe)
    check_normalization(model, recipe, train)
    length, weights = _length(recipe, train), class_weights(recipe, train)
    described = run_folder.describe(
        model, model_name or model.name, recipe, train, val, length, class_weights=weights, start=start
    )
    with workers.together() as chief, run_folder.alone(out) if chief else nullcontext():
        found = workers.open_run(out, described, resume, [checkpoint_every, skip_bad])
        run = _Run(recipe, train, val, out, length, weights, chief, verbose and chief, tensorboard)
        if found.get("epochs_done", 0) < recipe.epochs:
            _train(model, run, found, every, keep)
        else:
            run.say(f"{out}: this run is finished ({_best(found)}); raise --epochs to go on.")
            checkpoint.load_into(model, checkpoint.newest(out))
        return callbacks.read_metrics(out / "metrics.csv")


def _train(
    model: keras.Model, run: _Run, found: dict[str, Any], every: callbacks.Every | None, keep: int
) -> None:
    """Train from the beginning, or from the checkpoint whose state was `found`, to the last epoch."""
    recipe, data = run.recipe, run.train
    if hasattr(model, "palette"):
        model.classes, model.palette = data.classes, data.palette
    loss = loss_of(recipe, data, run.weights)
    trainer = Trainer(model, recipe, data, run.val, loss, run.length)
    if found:
        found = _restore(trainer, run.out, found)
        run.say(f"{run.out}: going on after {_where(trainer)} of {recipe.epochs} ({_best(found)}).")
    with single_value_errors(), user_errors():
        trainer.run(
            keras.callbacks.CallbackList(
                _callbacks(run, trainer, found, every, keep),
                model=trainer.training_model,
                epochs=recipe.epochs,
                steps=run.length,
            )
        )
    for dataset in (run.train, run.val):
        if isinstance(dataset, SkippingDataset) and dataset.bad:
            print(f"skipped {len(dataset.bad)} of {len(dataset)} images: {dataset.listed()}", file=sys.stderr)


def _restore(trainer: Trainer, folder: Path, found: dict[str, Any]) -> dict[str, Any]:
    """Put everything back from the last checkpoint, or from the newest before it that can be; gives its own state."""
    last, *older = checkpoint.present(folder)
    try:
        trainer.restore(last, found)
        return found
    except ModelError:
        if place()[1] > 1:  # the workers agreed on the last
            raise
        for path in older:
            with suppress(ModelError):
                checkpoint.verify(path)
                found = checkpoint.load_state(path)
                trainer.restore(path, found)
                checkpoint.take_the_place(path)
                return found
        raise


def _length(recipe: Recipe, train: Any) -> int:
    return recipe.steps_per_epoch or max(len(train) // (batch_size(recipe) * recipe.accumulate), 1)


def _prepare(recipe: Recipe) -> None:
    keep_freed_memory()
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _callbacks(
    run: _Run, trainer: Trainer, found: dict[str, Any], every: callbacks.Every | None, keep: int
) -> list[keras.callbacks.Callback]:
    """The callbacks, in this order: an epoch is over when its checkpoint is written."""
    best = found.get("best")
    best = -math.inf if best is None else best
    keeper = callbacks.Checkpoint(run.out, best=best, every=every, keep=keep, run=trainer, writes=run.chief)
    keeper.best_epoch = found.get("best_epoch")
    chosen: list[keras.callbacks.Callback] = [callbacks.StopOnNaN(_files(run))]
    if run.chief:
        chosen.append(callbacks.MetricsCsv(run.out / "metrics.csv", trainer.epoch))
    if run.chief and run.tensorboard:
        alone = place()[1] == 1  # Keras's predict waits for the other machines
        chosen.append(TensorBoard(run.out / "tensorboard", run.val if alone else None))
    chosen.append(keeper)
    if run.verbose:
        chosen.append(callbacks.Progress(run.recipe.epochs, run.length, best=lambda: keeper.best))
    return chosen


def _files(run: _Run) -> Any:
    """The names of the pictures of a step, for a message."""

    def files(epoch: int, step: int) -> list[str]:
        recipe, number = run.recipe, epoch * run.length + step
        size = batch_size(recipe) * recipe.accumulate
        return files_of_step(run.train, batch_size=size, seed=recipe.seed, step=number)

    return files


def _where(trainer: Trainer) -> str:
    return f"epoch {trainer.epoch}" + (f" and {trainer.step} steps" if trainer.step else "")


def _best(found: dict[str, Any]) -> str:
    if found.get("best") is None:
        return "not validated yet"
    return f"best mean IoU {found['best']:.4f} at epoch {found['best_epoch']}"
