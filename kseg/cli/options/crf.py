"""The dense CRF after a prediction, for the verbs that predict."""

import argparse
from typing import Any

from kseg.cli.options.arguments import above_zero, natural, positive

# Option of the command -> argument of `DenseCRF`.
_SETTINGS = {
    "crf_weight": "bilateral_weight",
    "crf_xy": "bilateral_xy_std",
    "crf_rgb": "bilateral_rgb_std",
    "crf_smooth_weight": "spatial_weight",
    "crf_smooth_xy": "spatial_std",
    "crf_iterations": "iterations",
    "crf_tile": "tile",
    "crf_device": "device",
}
_RELEASED = ""


def add_crf(parser: argparse.ArgumentParser) -> None:
    """``--crf`` and single settings of it."""
    group = parser.add_argument_group("dense CRF, on the probabilities at the image's own size")
    group.add_argument(
        "--crf",
        nargs="?",
        const=_RELEASED,
        metavar="FILE",
        help="sharpen edges with a dense CRF; FILE is the JSON file of kseg tune-crf (default: "
        "DeepLab v1's settings)",
    )
    group.add_argument(
        "--crf-weight", type=above_zero, metavar="W", help="weight of the bilateral kernel (default: 4)"
    )
    group.add_argument(
        "--crf-xy",
        type=above_zero,
        metavar="PIXELS",
        help="standard deviation of the bilateral kernel in space (default: 49)",
    )
    group.add_argument(
        "--crf-rgb",
        type=above_zero,
        metavar="LEVELS",
        help="standard deviation of the bilateral kernel in colour, in grey levels (default: 5)",
    )
    group.add_argument(
        "--crf-smooth-weight",
        type=above_zero,
        metavar="W",
        help="weight of the smoothness kernel (default: 3)",
    )
    group.add_argument(
        "--crf-smooth-xy",
        type=above_zero,
        metavar="PIXELS",
        help="standard deviation of the smoothness kernel (default: 3)",
    )
    group.add_argument(
        "--crf-iterations", type=natural, metavar="N", help="mean-field iterations (default: 10)"
    )
    group.add_argument(
        "--crf-tile",
        type=positive,
        metavar="PIXELS",
        help="work in tiles of this side, where memory is short",
    )
    group.add_argument(
        "--crf-device",
        metavar="DEVICE",
        help="iterate on this device of Keras's backend, such as gpu:0 (default: the processor's own program)",
    )


def crf_of(args: argparse.Namespace) -> Any:
    """The ``DenseCRF`` that ``add_crf``'s arguments ask for, or None."""
    from dataclasses import replace

    from kseg.errors import SettingsError

    given = {
        setting: getattr(args, option)
        for option, setting in _SETTINGS.items()
        if getattr(args, option) is not None
    }
    if args.crf is None:
        if given:
            raise SettingsError("the options --crf-... change a setting of --crf: give --crf too")
        return None
    from kseg.inference import DenseCRF
    from kseg.inference.crf.settings_file import load_crf

    return replace(DenseCRF() if args.crf == _RELEASED else load_crf(args.crf), **given)
