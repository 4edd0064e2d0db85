"""The arguments of `kseg webcam`."""

import argparse
from typing import Any

from kseg.cli.options.arguments import add_output_kind, fraction, positive

COLOUR_MAPS = ("model", "voc", "bright")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", default="0", metavar="S", help="camera number (0), video, folder, stream, or synthetic"
    )
    parser.add_argument(
        "--model", default="people", metavar="M", help="preset (people), or a .keras, .tflite or .onnx file"
    )
    parser.add_argument(
        "--precision", choices=("int8", "float32"), default="int8", help="of a preset; default: int8"
    )
    parser.add_argument(
        "--size", type=positive, nargs="+", metavar="PIXELS", help="height (and width) the model works at"
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="of the model; default: one a core")
    parser.add_argument(
        "--input-range",
        metavar="R",
        help="of another program's float model: 0..255, 0..1 or -1..1; default: 0..255 (.keras), -1..1 (others)",
    )
    add_output_kind(parser)
    parser.add_argument(
        "--trust",
        action="store_true",
        help="open a .tflite or .onnx file without trying it in a process of its own",
    )
    parser.add_argument(
        "--camera-size", type=positive, nargs=2, metavar=("H", "W"), help="asked of a camera (480 640)"
    )
    _add_screen(parser.add_argument_group("screen"))
    _add_headless(parser.add_argument_group("output"))
    group = parser.add_argument_group("browser")
    group.add_argument(
        "--browser", action="store_true", help="as a page in the browser, for this machine alone"
    )
    group.add_argument("--port", type=port, metavar="N", help="of the page; default: 8420, or a free one")
    group.add_argument(
        "--runtime", metavar="DIR", help="the npm packages of LiteRT.js; default: cache, then npm"
    )


def _add_screen(group: Any) -> None:
    group.add_argument("--alpha", type=fraction, default=0.5, metavar="A", help="of the paint, 0 to 1 (0.5)")
    group.add_argument("--no-mirror", action="store_true", help="do not mirror a camera's image")
    group.add_argument("--colours", choices=COLOUR_MAPS, default="model", help="colour map (model's own)")
    group.add_argument(
        "--background",
        metavar="B",
        default="picture",
        help="picture, blur, a colour such as 00a050, or an image file",
    )
    group.add_argument(
        "--smoothing",
        type=fraction,
        default=0.6,
        metavar="W",
        help="weight of the probabilities before, against flicker; 0 is off (0.6)",
    )
    group.add_argument("--no-legend", action="store_true", help="without names, shares and times")


def _add_headless(group: Any) -> None:
    group.add_argument("--headless", action="store_true", help="no window")
    group.add_argument("--output", metavar="FILE", help="a video of what is drawn (.mp4, .mkv, .avi)")
    group.add_argument("--max-frames", type=positive, metavar="N", help="end after N frames")
    group.add_argument(
        "--every-frame", action="store_true", help="work through a file's every frame in a window"
    )
    group.add_argument("--report", metavar="FILE", help="a JSON file of frames a second and times by stage")
    group.add_argument("--folder", default=".", metavar="DIR", help="for screenshots and recordings (.)")


def port(text: str) -> int:
    """A number of a TCP port that a program may take."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text!r}")
    return int(text)
