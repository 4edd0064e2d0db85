"""Search the settings of a dense CRF that fit a model and a data set.

Images of the validation split, evenly spaced, are predicted once; then a coarse grid of settings is tried on
their probabilities, and finer ones around the best (DeepLab, ICLR 2015, section 4.1). The file written is what
--crf of kseg predict and kseg evaluate takes. Measure the result on other images than these.

  kseg tune-crf --model runs/voc/best.keras --data voc --root voc --limit 50 --out crf.json
  kseg tune-crf ... --weights 5 6 7 8 9 10 --xy 50 60 70 80 90 100 --rgb 3 4 5 6 7 8 9 10   the paper's grid
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import (
    above_zero,
    add_data,
    add_max_pixels,
    add_prediction,
    natural,
    positive,
    predictor_of,
)
from kseg.cli.terminal import Bar
from kseg.errors import SettingsError

# Most settings that a refinement adds: three values of three parameters, less the best itself.
NEIGHBOURS = 26


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="M", help="a .keras file, or a preset (people)")
    add_data(parser)
    parser.add_argument("--split", default="val", metavar="SPLIT", help="split to search on (default: val)")
    parser.add_argument(
        "--limit", type=positive, default=20, metavar="N", help="number of images to search on (default: 20)"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the JSON file to write")
    group = parser.add_argument_group("search")
    for option, default, what in (
        ("--weights", [2.0, 5.0, 8.0], "of the kernel of places and colours"),
        ("--xy", [30.0, 60.0, 90.0], "its reach in pixels"),
        ("--rgb", [3.0, 6.0, 9.0], "its reach in grey levels"),
    ):
        shown = " ".join(f"{value:g}" for value in default)
        group.add_argument(
            option, type=above_zero, nargs="+", default=default, metavar="V", help=f"{what} ({shown})"
        )
    group.add_argument(
        "--refinements",
        type=natural,
        default=2,
        metavar="N",
        help="refine the grid N times, halving its steps (default: 2)",
    )
    group.add_argument(
        "--iterations", type=natural, default=10, metavar="N", help="mean-field iterations (default: 10)"
    )
    group.add_argument(
        "--smooth", type=above_zero, nargs=2, default=[3.0, 3.0], metavar=("W", "PIXELS"),
        help="weight and standard deviation of the smoothness kernel, which are not searched " "(default: 3 3)",
    )  # fmt: skip
    group.add_argument(
        "--crf-device",
        metavar="DEVICE",
        help="iterate on this device of Keras's backend, such as gpu:0 (default: the processor's own program)",
    )
    add_prediction(parser)
    add_max_pixels(parser)


def run(args: argparse.Namespace) -> int:
    from kseg.data import load as load_data
    from kseg.evaluation import tune_crf
    from kseg.inference import DenseCRF
    from kseg.inference.crf.settings_file import save_crf
    from kseg.models import load_trained

    out = Path(args.out)
    if out.is_dir() or not out.absolute().parent.is_dir():  # said before the work
        raise SettingsError(f"--out {out}: give a file name in a folder that exists")
    weight, std = args.smooth
    start = DenseCRF(std, weight, iterations=args.iterations, device=args.crf_device)
    dataset = load_data(args.data, args.root, args.split, max_pixels=args.max_pixels)
    predictor, count = predictor_of(load_trained(args.model), args), min(args.limit, len(dataset))
    with Bar("predicting") as predicting, Bar("searching") as bar:
        found = tune_crf(
            predictor,
            dataset,
            limit=args.limit,
            predicting=predicting,
            crf=start,
            weights=args.weights,
            xy_stds=args.xy,
            rgb_stds=args.rgb,
            refinements=args.refinements,
            progress=_TrialCallback(bar, args),
        )
    save_crf(found.best, out, **notes(found, dataset, count))
    print(outcome(found, count))
    print(f"written to {out}", file=sys.stderr)
    return 0


class _TrialCallback:
    """Moves the bar with every trial and says each new best."""

    def __init__(self, bar: Bar, args: argparse.Namespace):
        grid = len(set(args.weights)) * len(set(args.xy)) * len(set(args.rgb))
        self.bar, self.done, self.total, self.best = bar, 0, grid + NEIGHBOURS * args.refinements, 0.0

    def __call__(self, trial: Any) -> None:
        self.done += 1
        if trial.mean_iou > self.best:
            self.best = trial.mean_iou
            self.bar.say(f"mean IoU {trial.mean_iou:.4f}  {_settings(trial)}")
        self.bar(self.done, max(self.total, self.done))


def notes(found: Any, dataset: Any, count: int) -> dict[str, Any]:
    """What the file says beside the settings."""
    return {
        "data": f"{dataset.name} {dataset.split}",
        "pictures": count,
        "mean_iou": found.mean_iou,
        "mean_iou_without": found.without,
        "trials": [
            [t.bilateral_weight, t.bilateral_xy_std, t.bilateral_rgb_std, t.mean_iou] for t in found.trials
        ],
    }


def outcome(found: Any, count: int) -> str:
    """The result for a reader."""
    lines = [
        f"mean IoU of {count} images: {found.without:.4f} without a CRF, {found.mean_iou:.4f} with the best of "
        f"{len(found.trials)} settings",
        _settings(found.best),
    ]
    if not found.mean_iou > found.without:
        lines.append("none of them is better than no CRF")
    return "\n".join(lines)


def _settings(crf: Any) -> str:
    return f"weight {crf.bilateral_weight:g}, xy {crf.bilateral_xy_std:g}, rgb {crf.bilateral_rgb_std:g}"
