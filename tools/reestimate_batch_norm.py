"""Re-estimate the batch normalisation of a trained run by forward passes, as DeconvNet's release does at the end.

    python tools/reestimate_batch_norm.py runs/stage2/best.keras --data voc --root voc_people --out final.keras

The passes see what the training saw: crop size, augmentation and kind of crops are those of the recipe.json beside
the model. The release takes 501 passes of 8 crops.
"""

import argparse
import json
import os
import sys
from pathlib import Path

AUGMENT = ("scale", "mirror", "rotate", "jitter", "blur", "brightness", "contrast", "saturation", "hue")


def main(argv: list[str] | None = None) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from kseg.cli.options.arguments import positive

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="a run's .keras file")
    parser.add_argument("--data", required=True, help="data set")
    parser.add_argument("--root", help="the folder that holds it")
    parser.add_argument("--split", default="train", help="train")
    parser.add_argument("--passes", type=positive, default=501, help="501")
    parser.add_argument("--batch-size", type=positive, default=8, help="8")
    parser.add_argument("--out", required=True, type=Path, help="the .keras file to write")
    args = parser.parse_args(argv)

    from kseg.errors import KsegError

    try:
        done = reestimated(args)
    except KsegError as error:
        print(f"reestimate_batch_norm: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: statistics of {done} batches")
    return 0


def reestimated(args: argparse.Namespace) -> int:
    """Write ``args.out``; how many batches it has seen."""
    from kseg import data, models, training
    from kseg.cli.terminal import Bar
    from kseg.errors import SettingsError
    from kseg.training.crops import cut
    from kseg.training.run import checkpoint

    if args.out.suffix != ".keras" or not args.out.parent.is_dir():  # before minutes of passes
        raise SettingsError(f"{args.out}: give --out a .keras file in a folder that exists")
    model = models.load(args.model)
    recipe = recipe_of(args.model.with_name("recipe.json"))
    dataset, _ = cut(recipe, data.load(args.data, args.root, args.split), None)
    batches = data.pipeline(
        dataset,
        batch_size=args.batch_size if recipe.size else 1,
        size=recipe.size,
        augment=data.Augment(**{name: getattr(recipe, name) for name in AUGMENT}),
        seed=recipe.seed,
        shuffle=True,
        epochs=None,
    )
    with Bar("re-estimating") as bar:
        done = training.reestimate_batch_norm(model, batches, args.passes, bar)
    checkpoint.save(model, args.out, optimizer=False)  # whole or not at all, over the same file too
    return done


def recipe_of(path: Path):
    """The recipe of a run."""
    from kseg.errors import SettingsError
    from kseg.training import Recipe

    try:
        return Recipe.from_dict(json.loads(path.read_text(encoding="utf-8"))["recipe"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SettingsError(f"{path}: no recipe of a run ({error})") from None


if __name__ == "__main__":
    sys.exit(main())
