"""See a trained model at work, then train one in a few minutes: no download, no data, two CPU cores.

First the preset people finds the people in photographs that come with kseg (DIR/people). Then FCN-8s on
EfficientNet-Lite0 is trained on the built-in data set shapes and evaluated on images it was not trained on;
best.keras, table.txt and grid.png (image, truth, prediction) are written into DIR.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import natural, positive
from kseg.cli.options.given import refuse
from kseg.cli.terminal import Bar, invocation, minutes
from kseg.cli.verbs.evaluate import write_image
from kseg.errors import SettingsError

SAMPLES = Path(__file__).parents[2] / "data" / "samples"

SHOWN = 4  # images in grid.png, and as files to try kseg predict on
CELL = 480  # width of an image in grid.png, in pixels
MINUTES = 3  # what the training takes on two cores of 2.5 GHz


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", default="runs/demo", metavar="DIR", help="run folder (default: runs/demo)")
    parser.add_argument("--seed", type=natural, metavar="N", help="random seed (default: 0)")
    parser.add_argument(
        "--epochs", type=positive, metavar="N", help="number of epochs (default: the recipe's)"
    )
    parser.add_argument("--no-training", action="store_true", help="show the trained model only")
    parser.add_argument("--no-resume", action="store_true", help="replace the run in --out, if there is one")


def run(args: argparse.Namespace) -> int:
    if args.no_training:
        refuse(args, "nothing is trained with --no-training", "seed", "epochs", "no_resume")
    show_preset(Path(args.out))
    return 0 if args.no_training else train(args)


def show_preset(out: Path) -> None:
    """The preset `people` on the photographs in the package: overlays and masks in `out`/people."""
    from kseg.cli.main import main

    start, shown = time.monotonic(), out / "people"
    if code := main(["predict", str(SAMPLES), "--model", "people", "--out", str(shown)]):
        raise SettingsError(f"{shown}: the photographs could not be predicted (exit code {code}, see above)")
    print(
        f"people found in {len(list(SAMPLES.glob('*.jpg')))} photographs in {time.monotonic() - start:.1f} s: ",
        end="",
    )
    print(f"look at {shown}/*_overlay.jpg", flush=True)


def train(args: argparse.Namespace) -> int:
    """Train on shapes, score and draw."""
    import keras

    from kseg import data, evaluation, models, training
    from kseg.io.atomic import write_text
    from kseg.training.run.run_folder import all_or_nothing

    start, out = time.monotonic(), Path(args.out)
    recipe = training.RECIPES["shapes_demo"]
    given = {name: getattr(args, name) for name in ("seed", "epochs") if getattr(args, name) is not None}
    recipe = recipe.replace(**given)
    train, val, held_out = (data.load("shapes", split=split) for split in ("train", "val", "test"))
    print(
        f"now training {recipe.model} on {len(train)} images of shapes, into {out}: about {MINUTES} minutes on two "
        "cores (Ctrl-C stops, the same command goes on)",
        file=sys.stderr,
    )
    keras.utils.set_random_seed(recipe.seed)
    model = models.build(recipe.model, train.num_classes)
    with all_or_nothing(out, replace=args.no_resume):
        training.fit(model, recipe, train, val, out, model_name=recipe.model, resume=not args.no_resume)
    best = models.load(out / "best.keras")
    with Bar("evaluating") as bar:
        report = evaluation.evaluate(best, held_out, worst=0, progress=bar)
    write_text(out / "table.txt", report.table() + "\n")
    write_images(best, held_out, out)
    print(report.table())
    print(f"\nmean IoU {report.mean_iou:.4f} on {len(held_out)} held-out images", end=", ")
    print(f"{minutes(time.monotonic() - start)} in all")
    print(f"written: {out / 'best.keras'}, {out / 'table.txt'}, {out / 'grid.png'}\n")
    print(next_steps(out))
    return 0


def write_images(model: Any, dataset: Any, out: Path) -> None:
    """``grid.png``: image, truth and prediction of a few images; ``images/``: these as files."""
    from kseg.inference import Predictor, draw

    predictor = Predictor(model)
    step = max(len(dataset) // SHOWN, 1)
    chosen = list(range(0, len(dataset), step))[:SHOWN]
    pairs = [dataset.load(index) for index in chosen]
    images, truths = zip(*pairs, strict=True)
    sheet = draw.grid(
        images,
        truths,
        [predictor(image) for image in images],
        dataset.palette,
        classes=dataset.classes,
        cell=CELL,
    )
    (out / "images").mkdir(exist_ok=True)
    for index, image in zip(chosen, images, strict=True):
        write_image(out / "images" / f"{dataset.name_of(index)}.png", image)
    write_image(out / "grid.png", sheet)


def next_steps(out: Path) -> str:
    """Commands that work as they stand on what the demo has written; then those for your own images."""
    kseg, model = invocation(), shlex.quote(str(out / "best.keras"))
    images, predictions = (shlex.quote(str(out / name)) for name in ("images", "predictions"))
    return "\n".join(
        [
            "What to try next:",
            f"  {kseg} predict {images} --model {model} --out {predictions}",
            f"  {kseg} evaluate --model {model} --data shapes --split test --save {shlex.quote(str(out / 'report'))}",
            f"  {kseg} info {model}",
            "With your own images in my_data/images/{train,val}, masks in my_data/masks/{train,val}:",
            f"  {kseg} check-data my_data",
            f"  {kseg} train --model fcn8s_efficientnetlite0 --data folder --root my_data --out runs/mine",
        ]
    )
