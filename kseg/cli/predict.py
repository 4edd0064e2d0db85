"""Predict pictures: a palette PNG mask of the picture's own size, and an overlay with a legend.

NAME.jpg becomes DIR/NAME.png, whose pixels are the class ids, and DIR/NAME_overlay.jpg. A picture that cannot
be read is named and left out; the exit code is then 2.

  kseg predict photo.jpg --model runs/camvid/best.keras --out predictions
  kseg predict photo.jpg --model runs/stage2/best.keras --proposals 50 --steps steps --out predictions
  kseg predict photo.jpg --model runs/voc/best.keras --out predictions --crf crf.json
  kseg predict pictures/ 'more/*.png' --model runs/camvid/best.keras --out predictions --skip-existing
"""

import argparse
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kseg.cli.arguments import add_max_pixels, add_prediction, fraction, predictor_of
from kseg.cli.crf import add_crf, crf_of
from kseg.cli.evaluate import write_picture
from kseg.cli.folders import removed_if_empty
from kseg.cli.terminal import Bar, warnings_told


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
    add_max_pixels(parser)
    add_prediction(parser)
    add_crf(parser)
    parser.add_argument(
        "--steps",
        metavar="DIR",
        help="with --proposals, also draw there how the predictions of the boxes add up",
    )


def run(args: argparse.Namespace) -> int:
    from kseg.errors import SettingsError
    from kseg.inference import predict_files
    from kseg.inference.images import find_pictures
    from kseg.models import load

    out = Path(args.out)
    pictures = find_pictures(args.inputs, out)  # a wrong path is said before the model is read
    if args.steps and not args.proposals:
        raise SettingsError("--steps draws how proposals add up: give --proposals too")
    crf = crf_of(args)
    predictor = predictor_of(load(args.model), args, crf)
    bar = Bar("predicting")
    with removed_if_empty(out), bar, warnings_told(bar, lambda: f"{pictures[bar.done]}: "):
        summary = predict_files(
            predictor,
            pictures,
            out,
            overlay=not args.no_overlay,
            alpha=args.alpha,
            skip_existing=args.skip_existing,
            keep_going=True,
            max_pixels=args.max_pixels,
            progress=bar,
        )
    if args.steps:
        draw_steps(predictor, (*summary.masks, *summary.skipped), pictures, out, Path(args.steps))
    for failure in summary.failures:
        print(f"kseg: {' '.join(failure.split())}", file=sys.stderr)
    skipped = f", {len(summary.skipped)} were there already" if summary.skipped else ""
    print(f"{len(summary.masks)} predicted{skipped}, {len(summary.failures)} failed: {out}")
    return 2 if summary.failures else 0


def draw_steps(
    predictor: Any, masks: Sequence[Path], pictures: Sequence[Path], out: Path, folder: Path
) -> None:
    """``NAME_steps.png`` for every picture with a mask: the labels while its boxes come in."""
    from kseg.data import read_image
    from kseg.errors import KsegWarning
    from kseg.inference import Ensemble, proposal_steps
    from kseg.inference.images import plan

    by_proposals = predictor.predictors[0] if isinstance(predictor, Ensemble) else predictor
    jobs = [job for job in plan(pictures, out) if job.mask in set(masks)]
    folder.mkdir(parents=True, exist_ok=True)
    with Bar("drawing steps") as bar, warnings.catch_warnings():
        warnings.simplefilter("ignore", KsegWarning)  # told while predicting
        for done, job in enumerate(jobs, 1):
            drawn = proposal_steps(by_proposals, read_image(job.image))
            write_picture(folder / f"{job.mask.stem}_steps.png", drawn)
            bar(done, len(jobs))
