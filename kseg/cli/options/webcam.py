"""The arguments of `kseg webcam`."""

import argparse
from typing import Any

from kseg.cli.options.arguments import add_output_kind, add_threshold, fraction, positive

COLOUR_MAPS = ("model", "voc", "bright")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", default="0", metavar="S", help="camera number (0), video, folder, stream, or synthetic"
    )
    parser.add_argument(
        "--model", default="people", metavar="M", help="preset (people), or a .keras, .tflite or .onnx file"
    )
    parser.add_argument(
        "--precision",
        choices=("int8", "float32"),
        default="int8",
        help="precision of a preset (default: int8)",
    )
    parser.add_argument(
        "--size",
        type=positive,
        nargs="+",
        metavar="PIXELS",
        help="height (and width) to which frames are resized for the model",
    )
    parser.add_argument(
        "--threads", type=positive, metavar="N", help="threads of the model (default: one for each core)"
    )
    parser.add_argument(
        "--input-range",
        metavar="R",
        help="value range that a float model from another program expects: 0..255, 0..1 or -1..1 "
        "(default: 0..255 for .keras, -1..1 for others)",
    )
    add_output_kind(parser)
    add_threshold(parser)
    parser.add_argument(
        "--trust",
        action="store_true",
        help="open a .tflite or .onnx file without first trying it in a separate process",
    )
    parser.add_argument(
        "--camera-size",
        type=positive,
        nargs=2,
        metavar=("H", "W"),
        help="frame size to request from the camera (default: 480 640)",
    )
    _add_screen(parser.add_argument_group("screen"))
    _add_headless(parser.add_argument_group("output"))
    _add_browser(parser.add_argument_group("browser"))


def _add_screen(group: Any) -> None:
    group.add_argument(
        "--alpha",
        type=fraction,
        metavar="A",
        help="opacity of the class colours, 0 to 1 (default: 0.5, and with another --background 0)",
    )
    group.add_argument("--no-mirror", action="store_true", help="do not mirror a camera's image")
    group.add_argument(
        "--colours", choices=COLOUR_MAPS, default="model", help="colour map (default: the model's own)"
    )
    group.add_argument(
        "--background",
        metavar="B",
        default="picture",
        help="what is shown behind the classes: picture, blur, a colour such as 00a050, or an image file",
    )
    group.add_argument(
        "--smoothing",
        type=fraction,
        default=0.6,
        metavar="W",
        help="weight of the previous frames' probabilities, against flicker; 0 is off (default: 0.6)",
    )
    group.add_argument("--no-legend", action="store_true", help="do not show class names, shares and times")


def _add_headless(group: Any) -> None:
    group.add_argument("--headless", action="store_true", help="do not open a window")
    group.add_argument("--output", metavar="FILE", help="record what is shown as a video (.mp4, .mkv, .avi)")
    group.add_argument("--max-frames", type=positive, metavar="N", help="stop after N frames")
    group.add_argument(
        "--every-frame",
        action="store_true",
        help="in a window, show every frame of a video file instead of skipping to keep its speed",
    )
    group.add_argument(
        "--report", metavar="FILE", help="write a JSON file with frames per second and the time of each stage"
    )
    group.add_argument(
        "--folder",
        default=".",
        metavar="DIR",
        help="folder for screenshots and recordings (default: the current one)",
    )


def _add_browser(group: Any) -> None:
    group.add_argument(
        "--browser", action="store_true", help="show the app as a web page, which only this machine can open"
    )
    group.add_argument(
        "--port", type=port, metavar="N", help="port of the page (default: 8420, or a free one)"
    )
    group.add_argument(
        "--runtime",
        metavar="DIR",
        help="folder with the npm packages of LiteRT.js (default: the cache, then npm)",
    )


def port(text: str) -> int:
    """A number of a TCP port that a program may take."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text!r}")
    return int(text)
