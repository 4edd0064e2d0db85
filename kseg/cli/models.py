"""List the nets that kseg can build, one a line."""

import argparse
import json

from kseg.cli.options.arguments import positive
from kseg.cli.options.given import refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--parameters", action="store_true", help="build each and count its parameters (slow)"
    )
    parser.add_argument(
        "--classes", type=positive, default=21, metavar="N", help="for --parameters; default: 21"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    if not args.parameters:
        refuse(args, "it is of --parameters", "classes")
    from kseg.models import describe, names

    rows = [{"name": name, "description": describe(name)} for name in names()]
    if args.parameters:
        rows = [{**row, "parameters": _parameters(row["name"], args.classes)} for row in rows]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        count = f"{row['parameters']:>13,}  " if args.parameters else ""
        print(f"{row['name']:{width}}  {count}{row['description']}")
    return 0


def _parameters(name: str, classes: int) -> int:
    import keras

    from kseg.models import build

    keras.backend.clear_session()  # one net in memory at a time
    return build(name, classes, weights=None).count_params()
