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
        from kseg.weights.published_files import published

        files = published()
        if args.json:
            print(json.dumps([file.as_json() for file in files], indent=2))
            return 0
        for file in files:
            size = "size not known" if file.megabytes is None else f"{file.megabytes:.0f} MiB"
            sha256 = f"SHA-256 {file.sha256_prefix}..." if file.sha256_prefix else "SHA-256 not known"
            none = "no command of kseg repeats this protocol exactly, or it is not known"
            print(f"{file.file}  ({file.source}, {size}, {sha256})")
            print(f"    page:     {file.page}")
            print(f"    score:    {file.score or 'not known'} ({file.protocol or 'protocol not known'})")
            print(f"    evaluate: {file.evaluate or none}")
        return 0
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
