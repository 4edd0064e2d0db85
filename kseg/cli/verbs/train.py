"""Train a model on a data set.

The run folder gets recipe.json (all settings), metrics.csv, tensorboard/, last.keras after every epoch and
best.keras by validation mean IoU. The same command again goes on where a run was broken off.

Without --recipe, the recipe made for this model and data set is taken; options change single settings of it.

  kseg train --model fcn8s_efficientnetlite0 --data camvid --root camvid --out runs/camvid
"""

import argparse
import contextlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kseg.cli.options import training as options
from kseg.cli.options.arguments import add_data
from kseg.cli.options.given import refuse
from kseg.cli.options.own_code import own_loss, own_model
from kseg.cli.quiet import quietly

# Option of the command -> setting of the recipe.
_SETTINGS = {
    "loss": "loss",
    "epochs": "epochs",
    "steps_per_epoch": "steps_per_epoch",
    "batch_size": "batch_size",
    "size": "size",
    "seed": "seed",
    "deterministic": "deterministic",
    "learning_rate": "learning_rate",
    "freeze_backbone": "freeze_backbone",
    "freeze_normalization": "freeze_normalization",
    "mixed_precision": "mixed_precision",
    "class_weights": "class_weights",
    "ohem": "ohem_fraction",
    "sampling": "sampling",
    "validate_every": "validate_every",
    "label_stride": "label_stride",
    "input_scales": "input_scales",
    "auxiliary_weight": "auxiliary_weight",
    "remat": "remat",
    "accumulate": "accumulate",
    "ema": "ema",
}

# An argument of `fit` in its messages -> the option.
_OPTIONS = {
    "resume=False": "--no-resume",
    "`out`": "--out",
    "`checkpoint_every`": "--checkpoint-every",
    "init_from": "--init-from",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="name of a network (see kseg models), or FILE.py:NAME, a function that takes the number "
        "of classes and returns a Keras model (default: the network in the file of --init-from)",
    )
    parser.add_argument(
        "--one-channel",
        action="store_true",
        help="of two classes, background and object: learn one sigmoid channel, the probability of the object",
    )
    add_data(parser)
    parser.add_argument("--out", metavar="DIR", help="run folder (default: runs/MODEL-DATA)")
    parser.add_argument(
        "--recipe", metavar="NAME|FILE", help="name of a recipe, or a JSON file such as a run's recipe.json"
    )
    parser.add_argument("--train-split", default="train", metavar="SPLIT", help="default: train")
    parser.add_argument(
        "--val-split", default="val", metavar="SPLIT", help="default: val; none: train without validation"
    )
    parser.add_argument("--no-resume", action="store_true", help="replace the run in --out, if there is one")
    start = parser.add_argument_group("start")
    start.add_argument(
        "--init-from",
        metavar="FILE",
        help="start from this trained .keras file; all layers that fit are taken, with other classes "
        "all but the score layer",
    )
    start.add_argument(
        "--weights",
        default="packaged",
        metavar="W",
        help="weights of the backbone: packaged (default), imagenet, none, or a file",
    )
    options.add_settings(parser.add_argument_group("settings of the recipe"))
    options.add_weights(parser.add_argument_group("which weights are trained, and how they are computed"))
    options.add_losses(parser.add_argument_group("what the loss counts, and losses of the papers"))
    options.add_teacher(parser.add_argument_group("learning from another model"))
    options.add_safety(parser.add_argument_group("faults and devices"))


def run(args: argparse.Namespace) -> int:
    from kseg import data, training
    from kseg.training.distribution.workers import undone_on_failure

    if args.val_split == "none":
        refuse(args, "it is of a validation, and --val-split none has none", "validate_every")
    if args.teacher is None:
        needs = "it is of a teacher: give --teacher too"
        refuse(args, needs, "teacher_weight", "teacher_classes", "unlabelled")
    with training.strategy(args.strategy, args.devices):
        name_model(args)
        train = data.load(args.data, args.root, args.train_split, max_pixels=args.max_pixels)
        val = None
        if args.val_split != "none":
            val = data.load(args.data, args.root, args.val_split, max_pixels=args.max_pixels)
        if args.unlabelled is not None:
            train = train + data.unlabelled(args.unlabelled, train, max_pixels=args.max_pixels)
        named = Path(args.model.rpartition(":")[0]).stem if ":" in args.model else args.model
        out = Path(args.out or f"runs/{named}-{args.data.replace(':', '-').replace('/', '-')}")
        recipe, model = recipe_and_model(args, train)
        what = f"{args.model} on {args.data}, {len(train)} images, recipe {recipe.name}"
        print(f"{what}, into {out}", file=sys.stderr)
        with in_options(), undone_on_failure(out, replace=args.no_resume):
            rows = training.fit(
                model,
                recipe,
                train,
                val,
                out,
                model_name=args.model,
                resume=not args.no_resume,
                teacher=teacher_of(args),
                init_from=args.init_from,
                start={"weights": args.weights, "init_from": args.init_from, "root": args.root},
                checkpoint_every=args.checkpoint_every,
                keep=args.keep,
                skip_bad=args.skip_bad,
            )
        print(outcome(rows, out))
    return 0


@contextlib.contextmanager
def in_options() -> Iterator[None]:
    """Within it, what errors say of `fit`'s arguments is said of the command's options."""
    from kseg.errors import SettingsError

    try:
        yield
    except SettingsError as error:
        text = str(error)
        for argument, option in _OPTIONS.items():
            text = text.replace(argument, option)
        raise SettingsError(text) from error


def name_model(args: argparse.Namespace) -> None:
    """Name a run without ``--model`` after the file it starts from, whose network it trains."""
    from kseg.errors import SettingsError

    args.of_file = args.model is None
    if not args.of_file:
        return
    if args.init_from is None:
        raise SettingsError(
            "kseg train needs --model NAME, or --init-from FILE.keras (or a preset) to train the network of that file"
        )
    refuse(args, "the network is that of --init-from's file: give --model to choose another", "weights")
    args.model = Path(args.init_from).stem


def recipe_and_model(args: argparse.Namespace, train: Any) -> tuple[Any, Any]:
    """The recipe with the settings of the command line, and the model built as it asks.

    Which recipe is the default depends on the model's backbone, so the model is built first; none of the defaults asks
    for another seed or precision than the command line.
    """
    import keras

    from kseg import models
    from kseg.training.recipes.default import default_recipe
    from kseg.training.recipes.recipe import Recipe

    named = None if args.recipe is None else read_recipe(args.recipe)
    recipe = changed(named or Recipe(), args)
    keras.utils.set_random_seed(recipe.seed)
    weights, num_classes = None if args.weights == "none" else args.weights, train.num_classes
    if args.one_channel:
        num_classes = options.one_channel(train)
    if args.of_file:
        trained = models.load_trained(args.init_from)
        if num_classes == 2 and getattr(trained, "num_classes", 2) == 1:
            num_classes = options.one_channel(train)
        model = models.with_classes(trained, num_classes, dtype=recipe.mixed_precision)
    elif ":" in args.model:
        refuse(args, "a network of your own brings its weights itself", "weights")
        model = own_model(args.model, num_classes, recipe.mixed_precision)
    else:
        kind = {"channels": train.channels, "value_range": train.value_range, "multilabel": train.multilabel}
        model = models.build(args.model, num_classes, weights=weights, dtype=recipe.mixed_precision, **kind)
    if named is None:
        recipe = changed(default_recipe(model, args.model, args.data), args)
    return recipe.replace(model=args.model, data=args.data), model


def teacher_of(args: argparse.Namespace) -> Any:
    """The `Teacher` of the command line, or None."""
    from kseg.errors import SettingsError
    from kseg.training import Teacher

    if args.teacher is None:
        return None
    classes: dict[str, list[str]] = {}
    for word in args.teacher_classes or ():
        name, equals, theirs = word.partition("=")
        if not (name and equals and theirs):
            raise SettingsError(f"--teacher-classes {word}: give CLASS=THEIRS, such as person=15.")
        classes.setdefault(name, []).append(theirs)
    weight = 0.5 if args.teacher_weight is None else args.teacher_weight
    with quietly():  # LiteRT says a line as it starts
        return Teacher(args.teacher, weight, classes or None)


def read_recipe(recipe: str) -> Any:
    """The recipe of that name or JSON file (a run's too)."""
    import json

    from kseg.errors import SettingsError
    from kseg.training import RECIPES, Recipe

    if recipe in RECIPES:
        return RECIPES[recipe]
    if not Path(recipe).is_file():
        raise SettingsError(f"--recipe {recipe}: neither a file nor one of {', '.join(RECIPES)}.")
    try:
        values = json.loads(Path(recipe).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{recipe}: not a JSON file ({error}).") from None
    is_run = isinstance(values, dict) and isinstance(values.get("recipe"), dict)
    return Recipe.from_dict(values["recipe"] if is_run else values)


def changed(recipe: Any, args: argparse.Namespace) -> Any:
    """The recipe with the settings that were given on the command line."""
    from kseg.errors import SettingsError

    given = {setting: getattr(args, option) for option, setting in _SETTINGS.items()}
    given = {setting: value for setting, value in given.items() if value is not None}
    if ":" in str(given.get("loss", "")):
        given["loss"] = own_loss(given["loss"])
    if "class_weights" in given:
        words = given["class_weights"]
        try:
            if words == ["median_frequency"]:
                given["class_weights"] = words[0]
            elif all("=" in word for word in words):
                pairs = [word.rpartition("=") for word in words]
                given["class_weights"] = {name: float(number) for name, _, number in pairs}
            else:
                given["class_weights"] = [float(word) for word in words]
        except ValueError:
            raise SettingsError(
                f"--class-weights {' '.join(words)}: give median_frequency, a number for each class, or CLASS=NUMBER "
                "for some of them."
            ) from None
    if given.get("remat") == []:
        given["remat"] = "all"
    if "ohem_fraction" in given:
        given["ohem_threshold"] = None
    given |= dict(setting(word) for word in args.set or ())
    return recipe.replace(**given) if given else recipe


def setting(word: str) -> tuple[str, Any]:
    """NAME=VALUE as a setting of a recipe; the value is JSON, or a text."""
    import json

    from kseg.errors import SettingsError

    name, equals, value = word.partition("=")
    if not equals or not name:
        raise SettingsError(f"--set {word}: give NAME=VALUE, such as augment.rotate=5 or momentum=0.8.")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def outcome(rows: list[dict[str, float]], out: Path) -> str:
    """The last lines of a training: its best score, and where the model lies."""
    validated = [row for row in rows if "val_mean_iou" in row]
    scored = [row for row in validated if math.isfinite(row["val_mean_iou"])]
    best, last = out / "best.keras", out / "last.keras"
    if not validated:
        return f"trained without validation; the model is {last}"
    if not scored:
        return f"no validation gave a score, so there is no {best}; the model is {last}"
    top = max(scored, key=lambda row: row["val_mean_iou"])
    found = f"best val mean IoU {top['val_mean_iou']:.4f} at epoch {top['epoch']}"
    return f"{found}: {best}" if best.exists() else f"{found}, but {best} is gone; the model is {last}"
