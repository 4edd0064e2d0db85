"""Label images by a trained model where it is sure, to train another on them.

kseg label photos --model runs/teacher/best.keras --out masks
kseg label photos --model people --confidence 0.9 --out masks
kseg label photos --model teacher.tflite --out masks

Writes NAME.png of class ids for every image. Pixels that the model is less sure of are 255, which training leaves out.
An image that cannot be read is named and left out; the exit code is then 2.
"""

import argparse
from pathlib import Path

from kseg.cli.options.arguments import add_max_pixels, fraction
from kseg.cli.options.folders import removed_if_empty
from kseg.cli.quiet import quietly
from kseg.cli.terminal import Bar, printed_warnings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", nargs="+", metavar="IMAGE", help="images, or folders of images")
    told = "a .keras, .tflite or .onnx file, or a preset (people)"
    parser.add_argument("--model", required=True, metavar="M", help=told)
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the masks")
    parser.add_argument(
        "--confidence",
        type=fraction,
        default=0.8,
        metavar="P",
        help="label only pixels of at least this probability; the rest is ignored (default: 0.8)",
    )
    add_max_pixels(parser)


def run(args: argparse.Namespace) -> int:
    from kseg.inference import find_images, label_images
    from kseg.prediction import predictor

    images = find_images(args.inputs, args.out)  # a wrong path is reported before the model is read
    with quietly():  # LiteRT says a line as it starts
        used, shares = predictor(args.model), []
    with removed_if_empty(Path(args.out)), Bar("labelling") as bar, printed_warnings(bar):
        for _, share in label_images(used, images, args.out, args.confidence, args.max_pixels, keep_going=True):
            shares.append(share)
            bar(len(shares), len(images))
    failed = len(images) - len(shares)
    labelled = f"{len(shares)} images, {sum(shares) / max(1, len(shares)):.1%} of their pixels labelled"
    print(labelled + (f", {failed} failed" if failed else "") + f": {args.out}")
    return 2 if failed else 0
