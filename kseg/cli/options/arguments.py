"""Arguments that several verbs share, and the types that check a value while it is parsed."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kseg.cli.options.given import refuse

if TYPE_CHECKING:
    from collections.abc import Sequence


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return value


def natural(text: str) -> int:
    """A whole number from 0 on."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return value


def above_zero(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 to 1")
    return value


def add_data(parser: argparse.ArgumentParser) -> None:
    """``--data`` and ``--root``."""
    parser.add_argument(
        "--data", required=True, metavar="NAME", help="name of a data set (see kseg datasets), or tfds:NAME"
    )
    parser.add_argument("--root", metavar="DIR", help="the folder that holds the data set")


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """``--max-pixels``."""
    parser.add_argument(
        "--max-pixels",
        type=positive,
        default=50_000_000,
        metavar="N",
        help="refuse images and masks with more pixels than this, before decoding them (default: 50000000)",
    )


def add_output_kind(parser: Any) -> None:
    """``--output-kind``."""
    parser.add_argument(
        "--output-kind",
        choices=("logits", "probabilities", "labels"),
        help="what the model outputs (default: read from its last layer; a softmax means probabilities)",
    )


def add_threshold(parser: Any, also: str = "") -> None:
    """``--threshold``; `also` says for which other models it is."""
    parser.add_argument(
        "--threshold",
        type=fraction,
        default=0.5,
        metavar="P",
        help=f"above which probability a pixel is class 1, of one channel or two classes{also} (default: 0.5)",
    )


def add_prediction(parser: argparse.ArgumentParser) -> None:
    """How an image is predicted: ``--scales``, ``--flip``, ``--window`` and so on, and ``add_combined``'s."""
    from kseg.cli.options.combined import add_combined

    group = parser.add_argument_group("prediction")
    group.add_argument(
        "--scales",
        type=above_zero,
        nargs="+",
        default=[1.0],
        metavar="S",
        help="predict the image at each of these scales and combine the predictions",
    )
    group.add_argument(
        "--fuse",
        choices=("mean", "max"),
        default="mean",
        help="how to combine the scales: mean of the probabilities, or maximum of the scores, as "
        "DeepLab v2 is trained (default: mean)",
    )
    group.add_argument("--flip", action="store_true", help="also predict the mirrored image and average")
    _add_sizes(group)
    add_threshold(group, ", or of each class where they overlap")
    add_output_kind(group)
    add_combined(parser)


def _add_sizes(group: Any) -> None:
    group.add_argument(
        "--window",
        type=positive,
        nargs="+",
        metavar="PIXELS",
        help="predict in overlapping windows of this height (and width)",
    )
    group.add_argument(
        "--size",
        type=positive,
        nargs=2,
        metavar=("H", "W"),
        help="resize images to this size first (default: the model's working size where it has one, "
        "as presets do; else no resizing)",
    )
    group.add_argument(
        "--long-side",
        type=positive,
        metavar="PIXELS",
        help="resize images so that their longer side has this length, keeping the aspect ratio",
    )
    group.add_argument(
        "--pad",
        action="store_true",
        help="pad images that are smaller than the window with the model's mean colour, as in "
        "PSPNet's testing code",
    )


def height_and_width(sides: "Sequence[int] | None", option: str) -> tuple[int, int] | None:
    """(height, width) of an option with one number or two; SettingsError for more of them."""
    from kseg.errors import SettingsError

    if sides is None:
        return None
    if len(sides) > 2:
        raise SettingsError(f"{option} takes a height and a width, got {len(sides)} numbers")
    return sides[0], sides[-1]


def predictor_of(model: Any, args: argparse.Namespace, crf: Any = None) -> Any:
    """The predictor that ``add_prediction``'s arguments ask for, with a CRF at its end or none."""
    from kseg.cli.options.combined import refuse_unused
    from kseg.prediction import predictor, trained_size

    window = height_and_width(args.window, f"kseg {args.verb} --window")
    if len(args.scales) == 1:
        refuse(args, "it joins several --scales", "fuse")
    refuse_unused(args)
    size = args.proposal_size
    if args.proposals and size is None:
        size = getattr(model, "working_size", None) or trained_size(Path(getattr(args, "model", "")))
    return predictor(
        model,
        scales=args.scales,
        fuse=args.fuse,
        flip=args.flip,
        window=window,
        pad=args.pad,
        size=args.size,
        long_side=args.long_side,
        proposals=args.proposals,
        proposal_size=size,
        smallest=args.smallest,
        join=args.join,
        ensemble=args.ensemble or (),
        ensemble_mode=args.ensemble_mode,
        crf=crf,
        output=args.output_kind,
        threshold=args.threshold,
    )
