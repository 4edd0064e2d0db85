"""Train, evaluate and look at a small FCN in a few minutes: no download, no data, two CPU cores.

Trains FCN-8s on EfficientNet-Lite0 on the built-in data set shapes, evaluates it on pictures it was not
trained on, and writes best.keras, table.txt and grid.png (image, truth, prediction) into --out.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from kseg.cli.evaluate import write_picture
from kseg.cli.options.arguments import natural, positive
from kseg.cli.terminal import Bar, invocation, minutes

SHOWN = 6  # pictures in grid.png, and as files to try kseg predict on


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="runs/demo", metavar="DIR", help="run folder (default: runs/demo)")
    parser.add_argument("--seed", type=natural, metavar="N", help="default: 0")
    parser.add_argument("--epochs", type=positive, metavar="N", help="default: the recipe's")
    parser.add_argument("--no-resume", action="store_true", help="replace the run in --out, if there is one")


def run(args: argparse.Namespace) -> int:
    import keras

    from kseg import data, evaluation, models, training
    from kseg.io.atomic import write_text
    from kseg.training.run.run_folder import all_or_nothing

    start, out = time.monotonic(), Path(args.out)
    recipe = training.RECIPES["shapes_demo"]
    given = {name: getattr(args, name) for name in ("seed", "epochs") if getattr(args, name) is not None}
    recipe = recipe.replace(**given)
    train, val, held_out = (data.load("shapes", split=split) for split in ("train", "val", "test"))
    print(f"training {recipe.model} on {len(train)} pictures of shapes, into {out}", file=sys.stderr)
    keras.utils.set_random_seed(recipe.seed)
    model = models.build(recipe.model, train.num_classes)
    with all_or_nothing(out, replace=args.no_resume):
        training.fit(model, recipe, train, val, out, model_name=recipe.model, resume=not args.no_resume)
    best = models.load(out / "best.keras")
    with Bar("evaluating") as bar:
        report = evaluation.evaluate(best, held_out, worst=0, progress=bar)
    write_text(out / "table.txt", report.table() + "\n")
    write_pictures(best, held_out, out)
    print(report.table())
    print(f"\nmean IoU {report.mean_iou:.4f} on {len(held_out)} held-out pictures", end=", ")
    print(f"{minutes(time.monotonic() - start)} in all")
    print(f"written: {out / 'best.keras'}, {out / 'table.txt'}, {out / 'grid.png'}\n")
    print(next_steps(out))
    return 0


def write_pictures(model: Any, dataset: Any, out: Path) -> None:
    """``grid.png``: image, truth and prediction of a few pictures; ``pictures/``: these as files."""
    from kseg.inference import Predictor, draw

    predictor = Predictor(model)
    step = max(len(dataset) // SHOWN, 1)
    chosen = list(range(0, len(dataset), step))[:SHOWN]
    pairs = [dataset.load(index) for index in chosen]
    images, truths = zip(*pairs, strict=True)
    sheet = draw.grid(
        images, truths, [predictor(image) for image in images], dataset.palette, classes=dataset.classes
    )
    (out / "pictures").mkdir(exist_ok=True)
    for index, image in zip(chosen, images, strict=True):
        write_picture(out / "pictures" / f"{dataset.name_of(index)}.png", image)
    write_picture(out / "grid.png", sheet)


def next_steps(out: Path) -> str:
    """Commands that work as they stand on what the demo has written; then those for one's own pictures."""
    kseg, model = invocation(), shlex.quote(str(out / "best.keras"))
    pictures, predictions = (shlex.quote(str(out / name)) for name in ("pictures", "predictions"))
    return "\n".join(
        [
            "What to try next:",
            f"  {kseg} predict {pictures} --model {model} --out {predictions}",
            f"  {kseg} evaluate --model {model} --data shapes --split test --save {shlex.quote(str(out / 'report'))}",
            f"  {kseg} info {model}",
            "With your own pictures in my_data/images/{train,val}, masks in my_data/masks/{train,val}:",
            f"  {kseg} check-data my_data",
            f"  {kseg} train --model fcn8s_efficientnetlite0 --data folder --root my_data --out runs/mine",
        ]
    )
