"""`fit`: train a segmentation model by a recipe into a run folder, and go on where a run was broken off."""

import math
import sys
from pathlib import Path
from typing import Any

import keras

from kseg.data import Augment, Dataset, pipeline, user_errors
from kseg.errors import SettingsError
from kseg.training import callbacks, loop
from kseg.training.compilation import backbone_of, class_weights, compiled
from kseg.training.distribution import workers
from kseg.training.distribution.strategy import check_batch_size, distributed, place
from kseg.training.memory import keep_freed_memory
from kseg.training.optimization.averages import Averages
from kseg.training.recipes.recipe import Recipe
from kseg.training.run import checkpoint, run_folder
from kseg.training.run.bad_data import SkippingDataset, files_of_step
from kseg.training.run.run_state import RunState
from kseg.training.steps import Steps
from kseg.training.tensorboard import TensorBoard
from kseg.training.validation import Validation

_AUGMENT = ("scale", "mirror", "rotate", "jitter", "blur", "brightness", "contrast", "saturation", "hue")


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

    The folder gets `recipe.json` (the resolved settings), `metrics.csv`, `tensorboard/`, `last.keras`
    after every epoch and `best.keras` by validation mean IoU. The same call again goes on after the last
    checkpoint, exactly: optimizer, step, score, seed generators and the order of the data are where they were.
    Under `kseg.training.distribution.strategy` all its devices and machines share every batch.

    Args:
        model: a `Segmenter`, or any Keras model from pictures `(batch, height, width, 3)`, 0-255, to
            logits of the pictures' size. Its weights start the training; build it with
            `recipe.mixed_precision`, and after `keras.utils.set_random_seed(recipe.seed)` if the run is
            to be repeatable.
        recipe: the settings.
        train: what to train on.
        val: what to validate on, or None; then `best.keras` is not written.
        out: the run folder; it is made. Several machines need one that all of them see.
        model_name: what recipe.json calls the model; its Keras name by default.
        resume: go on with the run in `out`; False replaces it.
        verbose: one line an epoch on stderr, and the steps on a terminal.
        tensorboard: write `tensorboard/`.
        checkpoint_every: write `last.keras` within an epoch too: "500", every 500 steps; "10m", every 10 minutes.
        keep: how many of the last checkpoints to keep; those before the last are `last.1.keras` and so on.
        skip_bad: let the next picture take the place of one that cannot be used, up to 1 % of them.
        start: what else recipe.json shall hold, such as where the weights came from; a run goes on only if it is
            the same (but for "root").

    Returns:
        One dict an epoch, the rows of `metrics.csv`, those of earlier starts included.

    Raises:
        SettingsError: the recipe does not fit the model or the data, or `out` holds another run.
        DataError: a picture or mask that cannot be used; the message names it.
        KsegError: the loss became NaN, the disk is full, or another machine died; the last checkpoint is kept.
    """
    out, batch_size = Path(out), _batch_size(recipe)
    every = callbacks.Every.parse(checkpoint_every) if checkpoint_every else None
    _check(model, recipe, train, val, batch_size)
    _check_distribution(batch_size, every)
    _prepare(recipe)
    length = recipe.steps_per_epoch or max(len(train) // (batch_size * recipe.accumulate), 1)
    weights = class_weights(recipe, train)
    run = run_folder.describe(
        model, model_name or model.name, recipe, train, val, length, class_weights=weights, start=start
    )
    with workers.together() as chief:
        verbose = verbose and chief
        found = workers.open_run(out, run, resume)
        if found.get("epochs_done", 0) >= recipe.epochs:
            _say(verbose, f"{out}: this run is finished ({_best(found)}); raise --epochs to go on.")
            checkpoint.load_into(model, checkpoint.newest(out))
            return callbacks.read_metrics(out / "metrics.csv")
        data = SkippingDataset(train) if skip_bad else train
        steps, state = _start(model, recipe, data, length, weights)
        if found:
            state.restore(checkpoint.newest(out), found)
            _say(verbose, f"{out}: going on after {_where(state)} of {recipe.epochs} ({_best(found)}).")
        keeper = _keeper(out, found, state, every, keep, chief)
        followers = [callbacks.StopOnNaN(_files(recipe, train, batch_size, length)), keeper]
        if chief:
            followers[1:1] = _records(out, val, state, tensorboard)
        if verbose:
            followers.append(callbacks.Progress(recipe.epochs, length, best=lambda: keeper.best))
        first = (state.epoch * length + state.step) * recipe.accumulate
        with user_errors():
            loop.train(
                steps,
                iter(_batches(recipe, data, batch_size, first)),
                state,
                epochs=recipe.epochs,
                length=length,
                validate=_validate(recipe, val, state),
                followers=followers,
            )
        if skip_bad and data.bad:
            print(f"skipped {len(data.bad)} of {len(data)} pictures: {data.listed()}", file=sys.stderr)
        return callbacks.read_metrics(out / "metrics.csv")


def _batch_size(recipe: Recipe) -> int:
    # The FCN paper raises the number of pictures by 1/p where it keeps a share p of the loss.
    return round(recipe.batch_size / (recipe.sampling or 1))


def _check(model: keras.Model, recipe: Recipe, train: Dataset, val: Dataset | None, batch_size: int) -> None:
    if keras.backend.backend() != "tensorflow":
        raise SettingsError(
            f"kseg.training.fit trains on TensorFlow, and Keras's backend is {keras.backend.backend()}; there, compile "
            "the model and give kseg.data.pipeline(...) to Keras's own fit."
        )
    classes = model.output_shape[-1]
    if classes != train.num_classes:
        raise SettingsError(
            f"The model has {classes} classes and {train.name} has {train.num_classes}; build it with "
            f"num_classes={train.num_classes}."
        )
    if val is not None and (val.classes, val.ignore_label) != (train.classes, train.ignore_label):
        raise SettingsError(
            "The training and validation data have different classes or another ignored label."
        )
    if isinstance(recipe.class_weights, tuple) and len(recipe.class_weights) != classes:
        raise SettingsError(
            f"The recipe gives {len(recipe.class_weights)} class weights and {train.name} has {classes} classes "
            f"({', '.join(train.classes[:12])}{', ...' if classes > 12 else ''})."
        )
    if not len(train):
        raise SettingsError(f"{train.name}: the {train.split} split is empty.")
    if recipe.size is None and batch_size > 1:
        raise SettingsError(
            f"Whole pictures (size null) differ in size, so a batch holds one; the recipe says {batch_size}."
        )
    wanted, found = recipe.mixed_precision or "float32", model.dtype_policy.name
    if wanted != found:
        raise SettingsError(
            f"The recipe asks for {wanted} and the model was built in {found}; call "
            f'keras.config.set_dtype_policy("{wanted}") before building it.'
        )
    if recipe.freeze_backbone or recipe.head_multiplier != 1:
        backbone_of(model)
    if recipe.ema is not None and val is None:
        raise SettingsError("The averaged weights (ema) go into best.keras, which needs validation data.")


def _check_distribution(batch_size: int, every: callbacks.Every | None) -> None:
    check_batch_size(batch_size)
    if every is not None and every.minutes is not None and place()[1] > 1:
        raise SettingsError(
            "Workers on several machines write checkpoints together, so --checkpoint-every is a number of steps."
        )


def _prepare(recipe: Recipe) -> None:
    keep_freed_memory()
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _start(
    model: keras.Model, recipe: Recipe, data: Any, length: int, weights: tuple[float, ...] | None
) -> tuple[Steps, RunState]:
    """The steps of a training and its state, at the beginning."""
    if hasattr(model, "palette"):
        model.classes, model.palette = data.classes, data.palette
    parts = compiled(model, recipe, data, length, weights)
    averages = None if recipe.ema is None else Averages(model, recipe.ema)
    steps = Steps(parts.twin.model, parts.loss, recipe.accumulate, averages)
    skipping = data if isinstance(data, SkippingDataset) else None
    return steps, RunState(model, parts.twin, parts.loss, parts.metric, averages, skipping)


def _batches(recipe: Recipe, train: Any, batch_size: int, first: int) -> Any:
    augment = Augment(**{name: getattr(recipe, name) for name in _AUGMENT})

    def of(parts: int, own: range) -> Any:
        return pipeline(
            train,
            batch_size=batch_size,
            size=recipe.size,
            augment=None if recipe.size is None and augment == Augment() else augment,
            seed=recipe.seed,
            shuffle=True,
            epochs=None,
            start_step=first,
            drop_remainder=True,
            parts=parts,
            own=own,
        )

    return distributed(of)


def _files(recipe: Recipe, train: Dataset, batch_size: int, length: int) -> Any:
    """The names of the pictures of a step, for a message."""

    def files(epoch: int, step: int) -> list[str]:
        size, number = batch_size * recipe.accumulate, epoch * length + step
        return files_of_step(train, batch_size=size, seed=recipe.seed, step=number)

    return files


def _validate(recipe: Recipe, val: Dataset | None, state: RunState) -> Any:
    """The scores after an epoch, of the averaged weights where there are any; none in an epoch without."""
    if val is None:
        return lambda epochs_done: {}
    validation = Validation(state.model, val, state.cross_entropy)

    def validate(epochs_done: int) -> dict[str, float]:
        if epochs_done % recipe.validate_every and epochs_done != recipe.epochs:
            return {}
        with state.with_averages():
            return validation()

    return validate


def _keeper(
    out: Path, found: dict[str, Any], state: RunState, every: callbacks.Every | None, keep: int, chief: bool
) -> callbacks.Checkpoint:
    best = found.get("best")
    best = -math.inf if best is None else best
    keeper = callbacks.Checkpoint(out, best=best, every=every, keep=keep, run=state, writes=chief)
    keeper.best_epoch = found.get("best_epoch")
    return keeper


def _records(
    out: Path, val: Dataset | None, state: RunState, tensorboard: bool
) -> list[keras.callbacks.Callback]:
    """What is written besides checkpoints, and before them: an epoch is over when its checkpoint is."""
    found: list[keras.callbacks.Callback] = [callbacks.MetricsCsv(out / "metrics.csv", state.epoch)]
    if tensorboard:
        alone = place()[1] == 1  # Keras's predict waits for the other machines
        found.append(TensorBoard(out / "tensorboard", val if alone else None))
    return found


def _where(state: RunState) -> str:
    return f"epoch {state.epoch}" + (f" and {state.step} steps" if state.step else "")


def _best(found: dict[str, Any]) -> str:
    if found.get("best") is None:
        return "not validated yet"
    return f"best mean IoU {found['best']:.4f} at epoch {found['best_epoch']}"


def _say(verbose: bool, text: str) -> None:
    if verbose:
        print(text, file=sys.stderr)
