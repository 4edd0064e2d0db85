"""`fit`: train a segmentation model by a recipe into a run folder, and go on where a run was broken off."""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import keras

from kseg.data import Dataset, user_errors
from kseg.data.masks import kind_of
from kseg.errors import ModelError
from kseg.inference.model_info import inspect_model
from kseg.training.arguments import built, callbacks_of, metrics_of, optimizer_of_user
from kseg.training.callbacks import (
    Checkpoint,
    Every,
    History,
    MetricsCsv,
    Progress,
    StopOnNaN,
    TensorBoard,
    read_metrics,
)
from kseg.training.compilation import class_weights, freeze, loss_of
from kseg.training.crops import cut
from kseg.training.distribution import workers
from kseg.training.distribution.strategy import place
from kseg.training.initialise import initialise_from, initialise_second_head
from kseg.training.memory import keep_freed_memory
from kseg.training.normalization import single_value_errors
from kseg.training.recipes.default import default_recipe
from kseg.training.recipes.recipe import Recipe
from kseg.training.run import checkpoint, run_folder
from kseg.training.run.bad_data import SkippingDataset, files_of_step
from kseg.training.run.compatibility import as_datasets, batch_size, check, check_labels, check_normalization
from kseg.training.teacher import Teacher
from kseg.training.trainer import Trainer


def fit(
    model: keras.Model,
    recipe: Recipe | None,
    train: Any,
    val: Any,
    out: str | Path,
    *,
    loss: Any = None,
    optimizer: keras.optimizers.Optimizer | str | None = None,
    learning_rates: Mapping[str, float] | None = None,
    metrics: Sequence[keras.metrics.Metric | str] = (),
    callbacks: Sequence[keras.callbacks.Callback] = (),
    teacher: Teacher | None = None,
    init_from: str | Path | None = None,
    restore_best: bool = False,
    model_name: str | None = None,
    resume: bool = True,
    verbose: bool = True,
    tensorboard: bool = True,
    checkpoint_every: str | None = None,
    keep: int = 1,
    skip_bad: bool = False,
    start: dict[str, Any] | None = None,
) -> History:
    """Train `model` on `train`, validate on the whole images of `val`, and write the run into folder `out`.

    The folder gets recipe.json (the resolved settings), metrics.csv, last.keras after every epoch and best.keras by
    validation mean IoU. The same call again goes on after the last checkpoint, exactly. Under
    `kseg.training.strategy` all its devices and machines share every batch.

    Args:
        model: a `Segmenter`, or any Keras model, a subclassed one too, from images `(batch, height, width, 3)`, 0-255,
            to logits (or probabilities, where it ends in a softmax) of their size. Build it with
            `recipe.mixed_precision`, and after `keras.utils.set_random_seed(recipe.seed)` if the run is to be
            repeatable.
        recipe: the settings; None takes the default for this model and data. Crops of objects or proposals that it
            asks for are made of the data here.
        train, val: what to train on, and to validate on: a `kseg.data.Dataset` each, or what `kseg.data.as_dataset`
            takes (`(x, y)`, a `tf.data.Dataset`, a `keras.utils.PyDataset`); without `val` there is no `best.keras`.
        out: the run folder; it is made. Several machines need one that all of them see.
        loss: instead of the recipe's: one of `kseg.losses` or its name, or any Keras loss, or function of (labels,
            logits), of integer labels. Its ignored label and class weights are filled in.
        optimizer: instead of the recipe's optimizer and schedule; a Keras optimizer that was not used yet, or its name.
        learning_rates: factor on the learning rate by part of the model, such as `{"backbone": 0.1}`: "backbone",
            "head", a stage, a layer; where parts have a layer in common, the last counts. With the recipe's
            optimizer, or Adam, AdamW or SGD.
        metrics: Keras metrics of (labels, predictions) on the training batches, or their names, beside the mean IoU.
        callbacks: Keras callbacks, called as by Keras's `fit`; those that watch validation see `val_mean_iou` and
            `val_loss`. What they remember themselves is not in the checkpoints.
        teacher: another model to learn from, beside the labels, and on images that have none (`Teacher`).
        init_from: a `.keras` file or a preset whose fitting layers are taken before the first step; see
            `initialise_from`.
        restore_best: give `model` the weights of `best.keras` at the end, not those of the last step.
        model_name: what recipe.json calls the model; its Keras name by default.
        resume: go on with the run in `out`; False replaces it.
        verbose: one line an epoch on stderr, and the steps on a terminal.
        tensorboard: write `tensorboard/`.
        checkpoint_every: write `last.keras` within an epoch too: "500", every 500 steps; "10m", every 10 minutes.
        keep: how many of the last checkpoints to keep; those before the last are `last.1.keras` and so on.
        skip_bad: let the next image take the place of one that cannot be used, up to 1 % of them.
        start: what else must be the same (but for "root") when the run goes on; recipe.json holds it.

    Returns:
        The scores by epoch: a list of dicts, the rows of `metrics.csv`, those of earlier starts included; and Keras's
        History.

    Raises:
        SettingsError: the recipe does not fit the model or the data, or `out` holds another run, or one that another
            process trains at this moment.
        DataError: an image or mask that cannot be used; the message names it.
        KsegError: the loss became NaN, the disk is full, or another machine died; the last checkpoint is kept.

    Example:

    >>> images, masks = np.zeros((2, 32, 32, 3), "uint8"), np.ones((2, 32, 32), "uint8")
    >>> data = kseg.data.from_arrays(images, masks, classes=["background", "thing"])
    >>> model = kseg.models.LiteFPN(kseg.backbones.DeepLabMobileNetV2(0.25), num_classes=2, context=8)
    >>> recipe = kseg.training.Recipe(epochs=1, batch_size=2, size=(32, 32))
    >>> history = kseg.training.fit(model, recipe, data, data, "runs/a", verbose=False, tensorboard=False)
    >>> len(history)
    1
    """
    out, every = Path(out), None if checkpoint_every is None else Every.parse(checkpoint_every)
    train, val = as_datasets(model, train, val)
    if recipe is None:
        recipe = default_recipe(model, model_name or model.name, train.name)
    recipe = recipe if loss is None else recipe.replace(loss=loss)
    optimizer, metrics, callbacks = optimizer_of_user(optimizer), metrics_of(metrics), callbacks_of(callbacks)
    built(model, recipe.size or (64, 64), inspect_model(model).channels)
    say = (lambda text: print(text, file=sys.stderr)) if verbose and not place()[0] else (lambda text: None)
    check(model, recipe, train, val, every)
    if teacher is not None:
        teacher.fit_to(train.classes, kind_of(train))
    train, val = _prepare(model, recipe, train, val, teacher, skip_bad, say)
    weights = class_weights(recipe, train)
    steps = recipe.steps_per_epoch or max(len(train) // (batch_size(recipe) * recipe.accumulate), 1)
    map_loss = loss_of(recipe, train, weights, inspect_model(model).output == "logits")
    parts = {"optimizer": optimizer, "learning_rates": learning_rates, "teacher": teacher}
    start = {**(start or {}), **_start(init_from, **parts)}
    described = run_folder.describe(
        model, model_name, recipe, train, val, steps, class_weights=weights, start=start
    )
    with workers.together() as chief, run_folder.alone(out) if chief else nullcontext():
        found = workers.open_run(out, described, resume, [checkpoint_every, skip_bad])
        if found.get("epochs_done", 0) >= recipe.epochs:
            say(f"{out}: this run is finished ({_best(found)}); give more epochs to go on.")
            checkpoint.load_into(model, checkpoint.newest(out))
        else:
            if not found and init_from is not None:
                say(f"{init_from}: {initialise_from(model, init_from)}")
            trainer = Trainer(model, recipe, train, val, map_loss, steps, metrics=metrics, **parts)
            found = _begin(trainer, out, found, init_from, say)
            keeper = Checkpoint(
                out, best=found.get("best"), every=every, keep=keep, run=trainer, writes=chief
            )
            keeper.best_epoch = found.get("best_epoch")
            _run(trainer, keeper, callbacks, tensorboard=tensorboard, verbose=verbose)
        if restore_best and (out / "best.keras").exists():
            checkpoint.load_into(model, out / "best.keras", optimizer=False)
        history = History(read_metrics(out / "metrics.csv"))
        history.set_model(model)
        history.set_params({"verbose": int(verbose), "epochs": recipe.epochs, "steps": steps})
        return history


def _prepare(
    model: keras.Model,
    recipe: Recipe,
    train: Dataset,
    val: Dataset | None,
    teacher: Teacher | None,
    skip_bad: bool,
    say: Callable[[str], None],
) -> tuple[Dataset | SkippingDataset, Dataset | SkippingDataset | None]:
    """Make memory, seeds, data and model what the recipe asks for; gives what to train on, and to validate on."""
    keep_freed_memory()
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    train, val = cut(recipe, train, val, skip_bad, say)
    if skip_bad:
        train, val = SkippingDataset(train), None if val is None else SkippingDataset(val, blank=True)
    check_labels(train if teacher is None else None, val, train.num_classes)
    freeze(model, recipe)
    check_normalization(model, recipe, train)
    return train, val


def _start(
    init_from: str | Path | None,
    optimizer: keras.optimizers.Optimizer | None,
    learning_rates: Mapping[str, float] | None,
    teacher: Teacher | None,
) -> dict[str, Any]:
    """What recipe.json says of the first weights and of what is not the recipe's."""
    found: dict[str, Any] = {}
    if init_from is not None:
        found["init_from"] = str(init_from)
    if optimizer is not None:
        found["optimizer"] = type(optimizer).__name__
    if learning_rates:
        found["learning_rates"] = {part: float(factor) for part, factor in learning_rates.items()}
    if teacher is not None:
        found["teacher"] = teacher.describe()
    return found


def _begin(
    trainer: Trainer, out: Path, found: dict[str, Any], init_from: str | Path | None, say: Callable[[str], None]
) -> dict[str, Any]:
    """Go on after the last checkpoint, whose state is `found`, or from the first weights; gives the state reached."""
    recipe = trainer.recipe
    if found:
        found = _restore(trainer, out, found)
        within = f" and {trainer.step} steps" if trainer.step else ""
        say(f"{out}: going on after epoch {trainer.epoch}{within} of {recipe.epochs} ({_best(found)}).")
    elif init_from is not None:
        initialise_second_head(trainer, init_from, say)
    elif recipe.starts_from:
        print(
            f"kseg: {recipe.name} goes on from a network that {recipe.starts_from} trained, and its rates fit "
            "that; give init_from unless the model has such weights.",
            file=sys.stderr,
        )
    return found


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


def _run(
    trainer: Trainer,
    keeper: Checkpoint,
    own: list[keras.callbacks.Callback],
    *,
    tensorboard: bool,
    verbose: bool,
) -> None:
    """Train to the end; an epoch is over when its checkpoint is written; its line is printed then."""
    recipe, out = trainer.recipe, keeper.folder

    def files(epoch: int, step: int) -> list[str]:
        size, number = batch_size(recipe) * recipe.accumulate, epoch * trainer.length + step
        return files_of_step(trainer.train, batch_size=size, seed=recipe.seed, step=number)

    callbacks = [StopOnNaN(files), *own]
    if keeper.writes:
        callbacks.insert(1, MetricsCsv(out / "metrics.csv", trainer.epoch))
    if keeper.writes and tensorboard:
        alone = place()[1] == 1  # Keras's predict waits for the other machines
        callbacks.append(TensorBoard(out / "tensorboard", trainer.val if alone else None))
    callbacks.append(keeper)
    if keeper.writes and verbose:
        callbacks.append(Progress(recipe.epochs, trainer.length, best=lambda: keeper.best))
    called = keras.callbacks.CallbackList(
        callbacks, model=trainer.training_model, epochs=recipe.epochs, steps=trainer.length
    )
    with single_value_errors(), user_errors():
        trainer.run(called)
    for dataset in (trainer.train, trainer.val):
        if isinstance(dataset, SkippingDataset) and dataset.bad:
            print(f"skipped {len(dataset.bad)} of {len(dataset)} images: {dataset.listed()}", file=sys.stderr)


def _best(found: dict[str, Any]) -> str:
    if found.get("best") is None:
        return "not validated yet"
    return f"best mean IoU {found['best']:.4f} at epoch {found['best_epoch']}"
