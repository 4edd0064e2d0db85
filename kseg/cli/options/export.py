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
        help="x.tflite, x.onnx, a SavedModel's base folder, or a web page's",
    )
    parser.add_argument(
        "--format", choices=[one.name for one in FORMATS], help="default: by the ending of --out"
    )
    parser.add_argument(
        "--size", type=positive, nargs=2, metavar=("H", "W"), help="fixed height and width of the input"
    )
    parser.add_argument(
        "--dynamic",
        action="store_true",
        help="leave height and width free; the default for ONNX and SavedModels of models that work at any size",
    )
    parser.add_argument("--class-ids", action="store_true", help="TFLite, ONNX: give class ids, not logits")
    parser.add_argument("--json", action="store_true", help="print JSON")
    _add_tflite(parser.add_argument_group("TFLite"))
    group = parser.add_argument_group("SavedModel")
    group.add_argument("--version", type=positive, metavar="N", help="default: 1")
    group.add_argument(
        "--overwrite", action="store_true", help="replace the version if it exists; of web, the folder"
    )
    group.add_argument("--confidence", action="store_true", help="also give the winning class's probability")
    web = parser.add_argument_group("web page")
    web.add_argument(
        "--runtime", metavar="DIR", help="the npm packages of LiteRT.js; default: cache, then npm"
    )
    _add_check(parser.add_argument_group("check"))


def _add_tflite(group: Any) -> None:
    group.add_argument(
        "--precision",
        choices=("float32", "float16", "dynamic", "int8"),
        help="default: float32; int8 is calibrated on --data",
    )
    group.add_argument(
        "--auto", action="store_true", help="try every precision at several sizes, keep the fastest in budget"
    )
    group.add_argument(
        "--calibration-split", default="train", metavar="SPLIT", help="of --data, for int8; default: train"
    )
    group.add_argument("--calibration-count", type=positive, default=100, metavar="N", help="default: 100")


def _add_check(group: Any) -> None:
    group.add_argument("--data", metavar="NAME", help="data set to check on (kseg datasets lists them)")
    group.add_argument("--root", metavar="DIR", help="the folder that holds the data set")
    group.add_argument("--split", default="val", metavar="SPLIT", help="default: val")
    group.add_argument("--limit", type=positive, metavar="N", help="only N images, evenly spaced")
    group.add_argument(
        "--max-drop", type=above_zero, metavar="IOU", help="mean IoU that may be lost, such as 0.02"
    )
    group.add_argument(
        "--min-agreement",
        type=fraction,
        metavar="PART",
        help="of the pixels that must get the class that Keras gives them, else exit code 1; default: 0.99 (float32), "
        "0.98 (float16), 0.95 (dynamic), 0.9 (int8)",
    )
    add_output_kind(group)
    add_max_pixels(group)
