"""Prediction by object proposals and by several models together, for the verbs that predict."""

import argparse

from kseg.cli.options.arguments import positive
from kseg.cli.options.given import refuse


def add_combined(parser: argparse.ArgumentParser) -> None:
    """``--proposals``, ``--ensemble`` and what belongs to them."""
    group = parser.add_argument_group("by object proposals, and with other models")
    group.add_argument(
        "--proposals",
        type=positive,
        metavar="N",
        help="predict the N best object proposals one by one and combine them",
    )
    group.add_argument(
        "--proposal-size",
        type=positive,
        metavar="PIXELS",
        help="height and width to which proposals are resized (default: the model's working size, "
        "else the crop size of its training run, else 224)",
    )
    group.add_argument(
        "--smallest",
        type=positive,
        default=112,
        metavar="PIXELS",
        help="leave out proposals with a side shorter than this (default: 112)",
    )
    group.add_argument(
        "--join",
        choices=("max", "sum"),
        default="max",
        help="how to combine the proposals' logits (default: max)",
    )
    group.add_argument(
        "--ensemble", nargs="+", metavar="FILE", help="combine the probabilities with those of these models"
    )
    group.add_argument(
        "--ensemble-mode",
        choices=("mean", "product"),
        default="mean",
        help="how to combine the models (default: mean)",
    )


def refuse_unused(args: argparse.Namespace) -> None:
    """SettingsError for options of proposals and ensembles without these."""
    if not args.proposals:
        refuse(args, "it is of --proposals", "proposal_size", "smallest", "join")
    if not args.ensemble:
        refuse(args, "it is of --ensemble", "ensemble_mode")
