"""Predict pictures: a palette PNG mask of the picture's own size, and an overlay with a legend.

NAME.jpg becomes DIR/NAME.png, whose pixels are the class ids, and DIR/NAME_overlay.jpg. A picture that cannot
be read is named and left out; the exit code is then 2.

  kseg predict photo.jpg --model runs/camvid/best.keras --out predictions
  kseg predict pictures/ 'more/*.png' --model runs/camvid/best.keras --out predictions --skip-existing
"""

import argparse
import sys
from pathlib import Path

from kseg.cli.arguments import add_prediction, fraction, predictor_of
from kseg.cli.folders import removed_if_empty
from kseg.cli.terminal import Bar


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="pictures, folders or quoted patterns")
    parser.add_argument("--model", required=True, metavar="FILE", help="a .keras file")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--skip-existing", action="store_true", help="leave out what is there (to resume)")
    parser.add_argument("--no-overlay", action="store_true", help="write masks only")
    parser.add_argument(
        "--alpha",
        type=fraction,
        default=0.5,
        metavar="A",
        help="of the overlay: 0 picture to 1 classes (0.5)",
    )
    add_prediction(parser)


def run(args: argparse.Namespace) -> int:
    from kseg.inference import predict_files
    from kseg.inference.images import find_pictures
    from kseg.models import load

    out = Path(args.out)
    pictures = find_pictures(args.inputs, out)  # a wrong path is said before the model is read
    predictor = predictor_of(load(args.model), args)
    with removed_if_empty(out), Bar("predicting") as bar:
        summary = predict_files(
            predictor,
            pictures,
            out,
            overlay=not args.no_overlay,
            alpha=args.alpha,
            skip_existing=args.skip_existing,
            keep_going=True,
            progress=bar,
        )
    for failure in summary.failures:
        print(f"kseg: {' '.join(failure.split())}", file=sys.stderr)
    skipped = f", {len(summary.skipped)} were there already" if summary.skipped else ""
    print(f"{len(summary.masks)} predicted{skipped}, {len(summary.failures)} failed: {out}")
    return 2 if summary.failures else 0
