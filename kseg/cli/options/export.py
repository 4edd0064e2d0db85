"""The arguments of ``kseg export``."""

import argparse
from typing import Any

from kseg.cli.options.arguments import above_zero, add_max_pixels, add_output_kind, fraction, positive
from kseg.export.formats import FORMATS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", required=True, metavar="M", help="a .keras file, or a preset (people)")
    parser.add_argument(
        "--out",
        required=True,
        metavar="PATH",
        help="the file (.tflite or .onnx), or the folder of the SavedModel or web page",
    )
    parser.add_argument(
        "--format", choices=[one.name for one in FORMATS], help="default: from the ending of --out"
    )
    parser.add_argument(
        "--size", type=positive, nargs=2, metavar=("H", "W"), help="fix the height and width of the input"
    )
    parser.add_argument(
        "--dynamic",
        action="store_true",
        help="leave height and width free (default for ONNX and SavedModel, if the model works at any size)",
    )
    parser.add_argument(
        "--class-ids", action="store_true", help="output class ids instead of logits (TFLite and ONNX)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_tflite(parser.add_argument_group("TFLite"))
    group = parser.add_argument_group("SavedModel")
    group.add_argument(
        "--version", type=positive, metavar="N", help="version number of the SavedModel (default: 1)"
    )
    group.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the version, or the folder of the web page, if it exists",
    )
    group.add_argument(
        "--confidence", action="store_true", help="also output the probability of the predicted class"
    )
    web = parser.add_argument_group("web page")
    web.add_argument(
        "--runtime",
        metavar="DIR",
        help="folder with the npm packages of LiteRT.js (default: the cache, then npm)",
    )
    _add_check(parser.add_argument_group("check"))


def _add_tflite(group: Any) -> None:
    group.add_argument(
        "--precision",
        choices=("float32", "float16", "dynamic", "int8"),
        help="default: float32; int8 is calibrated with images of --data",
    )
    group.add_argument(
        "--int8-budget",
        type=fraction,
        metavar="IOU",
        help="how much mean IoU int8 may lose on --split; where it loses more, the layers that it hurts most stay in "
        "float32 (default: every layer in int8)",
    )
    group.add_argument(
        "--auto",
        action="store_true",
        help="try every precision at several sizes and keep the fastest that stays within --max-drop",
    )
    group.add_argument(
        "--calibration-split",
        default="train",
        metavar="SPLIT",
        help="split of --data that calibrates int8 (default: train)",
    )
    group.add_argument(
        "--calibration-count",
        type=positive,
        default=100,
        metavar="N",
        help="number of images that calibrate int8 (default: 100)",
    )


def _add_check(group: Any) -> None:
    group.add_argument(
        "--data", metavar="NAME", help="data set on which the exported file is checked (see kseg datasets)"
    )
    group.add_argument("--root", metavar="DIR", help="the folder that holds the data set")
    group.add_argument(
        "--split", default="val", metavar="SPLIT", help="split of --data on which to check (default: val)"
    )
    group.add_argument("--limit", type=positive, metavar="N", help="use only N images, evenly spaced")
    group.add_argument(
        "--max-drop", type=above_zero, metavar="IOU", help="how much mean IoU may be lost, such as 0.02"
    )
    group.add_argument(
        "--min-agreement",
        type=fraction,
        metavar="PART",
        help="share of pixels that must get the same class as in Keras, else the exit code is 1 "
        "(default: 0.99 for float32, 0.98 for float16, 0.95 for dynamic, 0.9 for int8)",
    )
    add_output_kind(group)
    add_max_pixels(group)
