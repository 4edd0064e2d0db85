"""Make the weights of the preset `people_portrait`: two trainings on framed images, and the mean of both.

    python tools/people/portrait.py ../shared/data --out runs

Writes the run folders OUT/people and OUT/longer, and OUT/mean.keras; started again, it goes on where it stopped.
About two and a quarter hours on two CPU cores. Then tools/people/make_preset.py makes the preset's files.
"""

import argparse
import os
from pathlib import Path

MODEL = "deeplabv3plus_efficientnetlite0_fast"


def main(argv: list[str] | None = None) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="the folder that holds voc_people and ccp_people")
    parser.add_argument("--out", required=True, type=Path, help="the folder for the runs")
    args = parser.parse_args(argv)

    import keras
    from average_weights import write_average
    from framed import framed_people

    import kseg
    from kseg.training import RECIPES, fit

    train, val = framed_people(args.root, "train"), framed_people(args.root, "val")
    first, longer = args.out / "people", args.out / "longer"
    for out, name, start in (
        (first, "people_lite0", None),
        (longer, "people_lite0_longer", first / "best.keras"),
    ):
        recipe = RECIPES[name]
        keras.utils.set_random_seed(recipe.seed)
        model = kseg.models.build(MODEL, train.num_classes)
        fit(model, recipe, train, val, out, model_name=MODEL, init_from=start)
    write_average([longer / "last.keras", first / "best.keras"], None, args.out / "mean.keras")
    print(f"{args.out / 'mean.keras'}: the mean of both runs")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
