"""List the data sets that kseg reads, and what of them lies in a folder."""

import argparse
import json
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", metavar="DIR", help="say which data sets lie in this folder")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from kseg.data import datasets
    from kseg.data.reading.layout import existing_folder

    if args.root is not None:
        existing_folder(args.root, "your data sets")
    rows = [{"name": name, **asdict(what)} for name, what in datasets().items()]
    if args.root is not None:
        rows = [{**row, "found": found(row["name"], args.root)} for row in rows]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    for row in rows:
        print(row["name"])
        print(f"    {row['summary']}")
        print(f"    splits: {row['splits']}")
        print(f"    layout: {row['layout']}")
        for key in ("page", "size"):
            if row[key]:
                print(f"    {key + ':':7} {row[key]}")
        if "found" in row:
            counts = ", ".join(f"{split} {count}" for split, count in row["found"]["splits"].items())
            print(f"    found:  {counts or row['found']['reason']}")
    return 0


def found(name: str, root: str) -> dict[str, Any]:
    """Images of each split of a data set below ``root``, or why there are none."""
    from kseg.cli.verbs.check_data import default_splits
    from kseg.data import datasets, load
    from kseg.errors import DataError

    if name in ("shapes", "tfds:NAME"):
        return {"splits": {}, "reason": "needs no folder" if name == "shapes" else "name it: tfds:NAME"}
    splits, reason = {}, None
    for split in datasets()[name].split_names or default_splits(name, root):
        try:
            splits[split] = len(load(name, root, split))
        except DataError as error:
            reason = reason or str(error)
    return {"splits": splits, "reason": None if splits else reason}
