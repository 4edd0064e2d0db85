"""Score a model on a labelled data set: IoU of each class, mean IoU, accuracies.

All scores come from one confusion matrix over every labelled pixel; ignored pixels are left out.

  kseg evaluate --model runs/camvid/best.keras --data camvid --root camvid --split test --json
  kseg evaluate --model runs/voc/best.keras --data voc --root voc --boundaries --crf crf.json
  kseg evaluate --model runs/stage2/best.keras --proposals 50 --ensemble runs/fcn8s/best.keras --data voc --root voc
"""

import argparse
import contextlib
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import (
    add_data,
    add_max_pixels,
    add_prediction,
    natural,
    positive,
)
from kseg.cli.options.crf import add_crf, crf_of
from kseg.cli.options.folders import removed_if_empty
from kseg.cli.options.model_file import add_model, predictor_of_model
from kseg.cli.terminal import Bar, printed_warnings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    add_data(parser)
    parser.add_argument("--split", default="val", metavar="SPLIT", help="split to score (default: val)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--boundaries", action="store_true", help="also score the edges: boundary F1 and mean IoU near edges"
    )
    parser.add_argument(
        "--worst",
        type=natural,
        default=8,
        metavar="N",
        help="how many of the worst images to list (default: 8)",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="use only N images, evenly spaced")
    parser.add_argument(
        "--save",
        metavar="DIR",
        help="write table.txt, report.json, confusion.png, worst.png and trimap.png into this folder",
    )
    parser.add_argument(
        "--sheet",
        type=positive,
        metavar="N",
        help="with --save: also draw the N best, N median and N worst images into sheet.png",
    )
    parser.add_argument(
        "--beside",
        nargs="+",
        default=[],
        metavar="FILE",
        help="with --boundaries and --save: also draw the curves of these report.json files",
    )
    add_max_pixels(parser)
    add_prediction(parser)
    add_crf(parser)


def run(args: argparse.Namespace) -> int:
    from kseg.data import load as load_data
    from kseg.errors import SettingsError
    from kseg.evaluation import contact_sheet, evaluate

    if args.sheet and not args.save:
        raise SettingsError("--sheet draws images into the folder of --save: give it too")
    crf, others = crf_of(args), beside_of(args)  # a wrong file is reported before the model is read
    dataset = load_data(args.data, args.root, args.split, max_pixels=args.max_pixels)
    predictor = predictor_of_model(args, crf)
    folder = None if args.save is None else Path(args.save)
    with contextlib.nullcontext() if folder is None else removed_if_empty(folder):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)  # before the work, should it be refused
        with Bar("evaluating") as bar, printed_warnings(bar):
            report = evaluate(
                predictor,
                dataset,
                worst=len(dataset) if args.sheet else args.worst,
                limit=args.limit,
                boundaries=args.boundaries,
                progress=bar,
            )
        if args.sheet:
            drawn = contact_sheet(report, predictor, dataset, count=args.sheet)
            write_image(folder / "sheet.png", drawn)
            report = dataclasses.replace(report, worst=report.worst[: args.worst])
        if folder is not None:
            save(report, predictor, dataset, folder)
            save_curve(report, others, folder)
    print(json.dumps(report.to_json(), indent=2) if args.json else report.table())
    if folder is not None:
        print(f"written to {folder}", file=sys.stderr)
    return 0


def save(report: Any, predictor: Any, dataset: Any, folder: Path) -> None:
    """``table.txt``, ``report.json``, ``confusion.png`` and ``worst.png`` of a report."""
    from kseg.io.atomic import write_json, write_text
    from kseg.visualize.grid import grid

    write_text(folder / "table.txt", report.table() + "\n")
    write_json(folder / "report.json", report.to_json())
    write_image(folder / "confusion.png", report.picture())
    if not report.worst:
        return
    images, truths = zip(*(dataset.load(one.index) for one in report.worst), strict=True)
    sheet = grid(
        images,
        truths,
        [predictor(image) for image in images],
        dataset.palette,
        classes=dataset.classes,
        captions=[f"{one.name}  mean IoU {one.mean_iou:.3f}" for one in report.worst],
        ignore_label=dataset.ignore_label,
    )
    write_image(folder / "worst.png", sheet)


def beside_of(args: argparse.Namespace) -> dict[Path, list[float]]:
    """The curves that --beside asks for."""
    from kseg.errors import SettingsError

    curves = curves_of(args.beside)
    if curves and not (args.boundaries and args.save):
        raise SettingsError("--beside draws curves beside the new one: give --boundaries and --save too")
    if curves and Path(args.save).resolve() in curves:
        raise SettingsError(
            f"--beside {args.save}: --save would overwrite this report; save to another folder"
        )
    return curves


def curves_of(paths: list[str]) -> dict[Path, list[float]]:
    """The trimap curves of other reports, by the folder they lie in."""
    from kseg.errors import DataError

    curves = {}
    for path in map(Path, paths):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["trimap_iou"]
            curve = [math.nan if iou is None else float(iou) for iou in found.values()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise DataError(f"{path}: not the report.json of a kseg evaluate --boundaries --save") from None
        curves[path.resolve().parent] = curve
    return curves


def save_curve(report: Any, others: dict[Path, list[float]], folder: Path) -> None:
    """``trimap.png`` and ``trimap.json``: the trimap curve of a report, and beside it those of others."""
    from kseg.io.atomic import write_json
    from kseg.visualize.curves import trimap_picture

    if not any(iou == iou for iou in report.trimap):  # not asked for, or no edge in the data
        return
    found = {**others, folder.resolve(): report.trimap}
    curves = dict(zip(distinct_names(list(found)), found.values(), strict=True))
    write_image(folder / "trimap.png", trimap_picture(curves))
    plain = {name: [None if iou != iou else iou for iou in curve] for name, curve in curves.items()}
    pixels = list(range(1, 1 + max(map(len, plain.values()))))
    write_json(folder / "trimap.json", {"pixels": pixels, "mean_iou": plain})


def distinct_names(folders: list[Path]) -> list[str]:
    """The last parts of different paths: as many as tell them apart, at least one."""
    for count in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-count:]) for folder in folders]
        if len(set(names)) == len(names):
            break
    return names


def write_image(path: Path, image: Any) -> None:
    """A uint8 RGB array as a PNG file, whole or not at all."""
    import cv2

    from kseg.io.atomic import write_bytes

    write_bytes(path, cv2.imencode(".png", image[..., ::-1])[1].tobytes())
