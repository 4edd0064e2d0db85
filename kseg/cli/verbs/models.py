"""List the networks that kseg can build, one a line."""

import argparse
import json

from kseg.cli.options.arguments import positive
from kseg.cli.options.given import refuse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--parameters", action="store_true", help="build each network and count its parameters (slow)"
    )
    parser.add_argument(
        "--classes",
        type=positive,
        default=21,
        metavar="N",
        help="number of classes for --parameters (default: 21)",
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="list the published weights files that kseg knows by name",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    if not args.parameters:
        refuse(args, "it is of --parameters", "classes")
    if args.published:
        refuse(args, "--published lists files", "parameters")
        return _published(args.json)
    from kseg.models import build, describe, names

    rows = [{"name": name, "description": describe(name)} for name in names()]
    if args.parameters:
        import keras

        for row in rows:
            keras.backend.clear_session()  # one network in memory at a time
            row["parameters"] = build(row["name"], args.classes, weights=None).count_params()
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        count = f"{row['parameters']:>13,}  " if args.parameters else ""
        print(f"{row['name']:{width}}  {count}{row['description']}")
    return 0


def _published(as_json: bool) -> int:
    from kseg.weights.published_files import published

    rows = published()
    if as_json:
        print(json.dumps([row.as_json() for row in rows], indent=2))
        return 0
    for row in rows:
        size = "size not known" if row.megabytes is None else f"{row.megabytes:.0f} MiB"
        sha256 = f"SHA-256 {row.sha256_prefix}..." if row.sha256_prefix else "SHA-256 not known"
        print(f"{row.file}  ({row.source}, {size}, {sha256})")
        print(f"    page:     {row.page}")
        print(f"    score:    {row.score or 'not known'} ({row.protocol or 'protocol not known'})")
        print(
            f"    evaluate: {row.evaluate or 'no command of kseg repeats this protocol exactly, or it is not known'}"
        )
    return 0
