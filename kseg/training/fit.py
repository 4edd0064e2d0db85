"""`fit`: train a segmentation model by a recipe into a run folder, and go on where a run was broken off."""

import math
import sys
from pathlib import Path
from typing import Any

import keras

from kseg.data import Augment, Dataset, class_histogram, median_frequency_weights, pipeline, user_errors
from kseg.errors import SettingsError
from kseg.losses import CrossEntropy
from kseg.metrics import MeanIoU
from kseg.training import callbacks, checkpoint, run_folder
from kseg.training.memory import keep_freed_memory
from kseg.training.optimizers import SGD, AdamW
from kseg.training.recipe import Recipe
from kseg.training.schedules import Poly, Step
from kseg.training.tensorboard import TensorBoard

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
    start: dict[str, Any] | None = None,
) -> list[dict[str, float]]:
    """Train `model` on `train`, validate on the whole pictures of `val`, and write the run into folder `out`.

    The folder gets `recipe.json` (the resolved settings), `metrics.csv`, `tensorboard/`, `last.keras`
    after every epoch and `best.keras` by validation mean IoU. The same call again goes on after the last
    whole epoch, exactly: optimizer, step, seed generators and the order of the data are where they were.

    Args:
        model: a `Segmenter`, or any Keras model from pictures `(batch, height, width, 3)`, 0-255, to
            logits of the pictures' size. Its weights start the training; build it with
            `recipe.mixed_precision`, and after `keras.utils.set_random_seed(recipe.seed)` if the run is
            to be repeatable.
        recipe: the settings.
        train: what to train on.
        val: what to validate on, or None; then `best.keras` is not written.
        out: the run folder; it is made.
        model_name: what recipe.json calls the model; its Keras name by default.
        resume: go on with the run in `out`; False replaces it.
        verbose: one line an epoch on stderr, and the steps on a terminal.
        tensorboard: write `tensorboard/`.
        start: what else recipe.json shall hold, such as where the weights came from; a run goes on only if it is
            the same (but for "root").

    Returns:
        One dict an epoch, the rows of `metrics.csv`, those of earlier starts included.

    Raises:
        SettingsError: the recipe does not fit the model or the data, or `out` holds another run.
        DataError: a picture or mask that cannot be used; the message names it.
        KsegError: the loss became NaN, or the disk is full; the last whole epoch is kept.
    """
    out, batch_size = Path(out), _batch_size(recipe)
    _check(model, recipe, train, val, batch_size)
    _prepare(recipe)
    steps = recipe.steps_per_epoch or max(len(train) // batch_size, 1)
    weights = _class_weights(recipe, train)
    run = run_folder.describe(
        model, model_name or model.name, recipe, train, val, steps, class_weights=weights, start=start
    )
    state = run_folder.open_run(out, run, resume)
    done = state.get("epochs_done", 0)
    if done >= recipe.epochs:
        _say(
            verbose, f"{out}: this run is finished ({done} epochs, {_best(state)}); raise --epochs to go on."
        )
        checkpoint.load_into(model, out / "last.keras")
        return callbacks.read_metrics(out / "metrics.csv")
    loss = _compile(model, recipe, train, steps, weights)
    if state:
        checkpoint.load_into(model, out / "last.keras")
        checkpoint.set_seed_states(state["seeds"], model, loss)
        _say(verbose, f"{out}: going on after epoch {done} of {recipe.epochs} ({_best(state)}).")
    followers = _callbacks(recipe, val, out, state, loss, steps, verbose, tensorboard)
    with user_errors():
        model.fit(
            _train_pipeline(recipe, train, batch_size, done * steps),
            steps_per_epoch=steps,
            initial_epoch=done,
            epochs=recipe.epochs,
            validation_data=None if val is None else pipeline(val, batch_size=1),
            validation_freq=_validated(recipe),
            shuffle=False,
            callbacks=followers,
            verbose=0,
        )
    return callbacks.read_metrics(out / "metrics.csv")


def _batch_size(recipe: Recipe) -> int:
    # The FCN paper raises the number of pictures by 1/p where it keeps a share p of the loss.
    return round(recipe.batch_size / (recipe.sampling or 1))


def _check(model: keras.Model, recipe: Recipe, train: Dataset, val: Dataset | None, batch_size: int) -> None:
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
        _backbone(model)


def _backbone(model: keras.Model) -> keras.Model:
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        raise SettingsError(
            "freeze_backbone and head_multiplier need a model with a `backbone`, as kseg's own have."
        )
    return backbone


def _prepare(recipe: Recipe) -> None:
    keep_freed_memory()
    keras.utils.set_random_seed(recipe.seed)
    if recipe.deterministic:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def _class_weights(recipe: Recipe, train: Dataset) -> tuple[float, ...] | None:
    if recipe.class_weights == "median_frequency":
        return tuple(median_frequency_weights(class_histogram(train)))
    return recipe.class_weights


def _compile(model: keras.Model, recipe: Recipe, train: Dataset, steps: int, weights: Any) -> CrossEntropy:
    if recipe.freeze_backbone:
        _backbone(model).trainable = False
    if hasattr(model, "palette"):
        model.classes, model.palette = train.classes, train.palette
    loss = CrossEntropy(
        ignore_label=train.ignore_label,
        class_weights=weights,
        ohem_fraction=recipe.ohem_fraction,
        ohem_threshold=recipe.ohem_threshold,
        ohem_min_kept=recipe.ohem_min_kept,
        sampling=recipe.sampling,
        reduction=recipe.reduction,
        seed=recipe.seed,
    )
    metric = MeanIoU(train.num_classes, train.ignore_label)
    # Compiled by XLA only where every layer can be, which Keras's "auto" does not know of argmax pooling.
    model.compile(_optimizer(model, recipe, steps), loss, metrics=[metric], jit_compile=False)
    return loss


def _optimizer(model: keras.Model, recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    rates = {
        "layer_multipliers": _head(model, recipe.head_multiplier),
        "bias_multiplier": recipe.bias_multiplier,
    }
    rate = _schedule(recipe, steps)
    if recipe.optimizer == "sgd":
        return SGD(rate, recipe.momentum, l2=recipe.weight_decay, **rates)
    return AdamW(rate, weight_decay=recipe.weight_decay, **rates)


def _head(model: keras.Model, multiplier: float) -> dict[str, float]:
    """The layers that are not the backbone's and have something to train, each with `multiplier`."""
    if multiplier == 1:
        return {}
    backbone = {id(variable) for variable in _backbone(model).variables}
    return {
        layer.name: multiplier
        for layer in model.layers
        if any(id(variable) not in backbone for variable in layer.trainable_variables)
    }


def _schedule(recipe: Recipe, steps: int) -> Any:
    total = recipe.epochs * steps
    warmup = min(recipe.warmup_steps, total // 5)  # a few pictures make a run shorter than the warm-up
    if recipe.schedule == "poly":
        return Poly(recipe.learning_rate, total, recipe.power, warmup)
    if recipe.schedule == "step":
        return Step(recipe.learning_rate, recipe.step_every, warmup_steps=warmup)
    if warmup:
        return Poly(recipe.learning_rate, total, 0.0, warmup)
    return recipe.learning_rate


def _train_pipeline(recipe: Recipe, train: Dataset, batch_size: int, start_step: int) -> Any:
    augment = Augment(**{name: getattr(recipe, name) for name in _AUGMENT})
    return pipeline(
        train,
        batch_size=batch_size,
        size=recipe.size,
        augment=None if recipe.size is None and augment == Augment() else augment,
        seed=recipe.seed,
        shuffle=True,
        epochs=None,
        start_step=start_step,
        drop_remainder=True,
    )


def _validated(recipe: Recipe) -> list[int]:
    every = range(recipe.validate_every, recipe.epochs + 1, recipe.validate_every)
    return sorted({*every, recipe.epochs})


def _callbacks(recipe, val, out, state, loss, steps, verbose, tensorboard) -> list[keras.callbacks.Callback]:
    best = state.get("best")
    keep = callbacks.Checkpoint(out, best=-math.inf if best is None else best, seeded=(loss,))
    keep.best_epoch = state.get("best_epoch")
    found = [callbacks.StopOnNaN(), callbacks.MetricsCsv(out / "metrics.csv", state.get("epochs_done", 0))]
    if tensorboard:
        found.append(TensorBoard(out / "tensorboard", val))
    found.append(keep)  # after metrics.csv: an epoch is over when its checkpoint is
    if verbose:
        found.append(callbacks.Progress(recipe.epochs, steps, best=lambda: keep.best))
    return found


def _best(state: dict[str, Any]) -> str:
    if state.get("best") is None:
        return "not validated yet"
    return f"best mean IoU {state['best']:.4f} at epoch {state['best_epoch']}"


def _say(verbose: bool, text: str) -> None:
    if verbose:
        print(text, file=sys.stderr)
