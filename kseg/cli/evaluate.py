"""Score a model on a labelled data set: IoU of each class, mean IoU, accuracies.

All scores come from one confusion matrix over every labelled pixel; ignored pixels are left out.

  kseg evaluate --model runs/camvid/best.keras --data camvid --root camvid --split test --json
  kseg evaluate --model runs/stage2/best.keras --proposals 50 --ensemble runs/fcn8s/best.keras --data voc --root voc
"""

import argparse
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from kseg.cli.arguments import add_data, add_prediction, natural, positive, predictor_of
from kseg.cli.folders import removed_if_empty
from kseg.cli.terminal import Bar, warnings_told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="FILE", help="a .keras file")
    add_data(parser)
    parser.add_argument("--split", default="val", metavar="SPLIT", help="default: val")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--boundaries", action="store_true", help="also score how well edges are met")
    parser.add_argument(
        "--worst", type=natural, default=8, metavar="N", help="worst images listed; default: 8"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="only N images, evenly spaced")
    parser.add_argument(
        "--save", metavar="DIR", help="write table.txt, report.json, confusion.png and worst.png there"
    )
    add_prediction(parser)


def run(args: argparse.Namespace) -> int:
    from kseg.data import load as load_data
    from kseg.evaluation import evaluate
    from kseg.models import load as load_model

    dataset = load_data(args.data, args.root, args.split)
    predictor = predictor_of(load_model(args.model), args)
    folder = None if args.save is None else Path(args.save)
    with contextlib.nullcontext() if folder is None else removed_if_empty(folder):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)  # before the work, should it be refused
        with Bar("evaluating") as bar, warnings_told(bar):
            report = evaluate(
                predictor,
                dataset,
                worst=args.worst,
                limit=args.limit,
                boundaries=args.boundaries,
                progress=bar,
            )
        if folder is not None:
            save(report, predictor, dataset, folder)
    print(json.dumps(report.to_json(), indent=2) if args.json else report.table())
    if folder is not None:
        print(f"written to {folder}", file=sys.stderr)
    return 0


def save(report: Any, predictor: Any, dataset: Any, folder: Path) -> None:
    """``table.txt``, ``report.json``, ``confusion.png`` and ``worst.png`` of a report."""
    from kseg.inference import draw

    (folder / "table.txt").write_text(report.table() + "\n", encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(report.to_json(), indent=2) + "\n", encoding="utf-8")
    write_picture(folder / "confusion.png", report.picture())
    if not report.worst:
        return
    images, truths = zip(*(dataset.load(one.index) for one in report.worst), strict=True)
    sheet = draw.grid(
        images,
        truths,
        [predictor(image) for image in images],
        dataset.palette,
        classes=dataset.classes,
        captions=[f"{one.name}  mean IoU {one.mean_iou:.3f}" for one in report.worst],
        ignore_label=dataset.ignore_label,
    )
    write_picture(folder / "worst.png", sheet)


def write_picture(path: Path, picture: Any) -> None:
    """A uint8 RGB array as a PNG file, whole or not at all."""
    import cv2

    from kseg.inference.palette_png import write_whole

    write_whole(path, cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
