"""Prediction by object proposals and by several models together, for the verbs that predict."""

import argparse
import json
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import positive
from kseg.cli.options.given import refuse

PUBLISHED = (224, 224)


def add_combined(parser: argparse.ArgumentParser) -> None:
    """``--proposals``, ``--ensemble`` and what belongs to them."""
    group = parser.add_argument_group("by object proposals, and with other models")
    group.add_argument(
        "--proposals", type=positive, metavar="N", help="predict the N best object proposals one by one"
    )
    group.add_argument(
        "--proposal-size",
        type=positive,
        metavar="PIXELS",
        help="height and width a proposal is warped to; default: the size the model says it works at (a preset does), "
        "that of the run's crops, or 224",
    )
    group.add_argument(
        "--smallest",
        type=positive,
        default=112,
        metavar="PIXELS",
        help="leave out proposals with a side below this (112)",
    )
    group.add_argument("--join", choices=("max", "sum"), default="max", help="of the proposals' logits (max)")
    group.add_argument(
        "--ensemble", nargs="+", metavar="FILE", help="join the probabilities with those of these models"
    )
    group.add_argument(
        "--ensemble-mode", choices=("mean", "product"), default="mean", help="how they are joined (mean)"
    )


def combined(model: Any, args: argparse.Namespace, whole: Any, crf: Any = None) -> Any:
    """The predictor that ``add_combined``'s arguments ask for.

    ``whole(model, crf)`` makes a predictor of whole pictures. The CRF, if there is one, comes last.
    """
    if not args.proposals:
        refuse(args, "it is of --proposals", "proposal_size", "smallest", "join")
    if not args.ensemble:
        refuse(args, "it is of --ensemble", "ensemble_mode")
        return _by_proposals(model, args, crf) if args.proposals else whole(model, crf)
    from kseg.inference import Ensemble
    from kseg.models import load_trained

    first = _by_proposals(model, args, None) if args.proposals else whole(model, None)
    others = [whole(load_trained(path), None) for path in args.ensemble]
    return Ensemble([first, *others], args.ensemble_mode, crf)


def _by_proposals(model: Any, args: argparse.Namespace, crf: Any) -> Any:
    from kseg.errors import SettingsError
    from kseg.inference import ProposalCache, ProposalPredictor
    from kseg.inference.proposals.cache import default_cache_folder

    whole = args.window or args.flip or args.size or args.long_side or args.pad
    whole = whole or args.fuse != "mean" or list(args.scales) != [1.0]
    if whole and not args.ensemble:
        raise SettingsError(
            "--scales, --fuse, --flip, --window, --pad, --size and --long-side are for whole pictures, not for "
            "--proposals, whose size is --proposal-size"
        )
    return ProposalPredictor(
        model,
        size=args.proposal_size or getattr(model, "working_size", None) or trained_size(Path(args.model)),
        best=args.proposals,
        smallest=args.smallest,
        mode=args.join,
        propose=ProposalCache(default_cache_folder()),
        crf=crf,
        output=args.output_kind,
    )


def trained_size(model: Path) -> tuple[int, int]:
    """The size of the crops that a run's model was trained on, by the recipe.json beside it; else the paper's 224."""
    if not model.is_file():  # a preset by its name
        return PUBLISHED
    try:
        recipe = json.loads(model.with_name("recipe.json").read_text(encoding="utf-8"))["recipe"]
        height, width = recipe["size"] if recipe["crops"] else PUBLISHED
        return int(height), int(width)
    except (OSError, ValueError, TypeError, KeyError):  # no run folder, or an older one
        return PUBLISHED
