"""Look at a whole data set before training, and say all that is wrong with it.

Finds missing pairs, size mismatches, unknown class ids, odd palettes, unreadable or huge files and empty classes, and
prints the label histogram, and the values of each channel of images that are not RGB. Exit code 0: nothing stops a
training; 1: something does; 2: no such folder.

  kseg check-data my_data --sheet sheet.png
  kseg check-data --data camvid --root camvid
"""

import argparse
import contextlib
import json
import warnings
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import add_max_pixels, positive
from kseg.cli.options.given import refuse
from kseg.cli.terminal import Bar
from kseg.errors import DataError, SettingsError

SHEET = 24  # images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", nargs="?", metavar="DIR", help="a folder with images/ and masks/")
    parser.add_argument("--data", metavar="NAME", help="a data set by name, instead of DIR")
    parser.add_argument("--root", metavar="DIR", help="with --data: the folder that holds the data set")
    parser.add_argument(
        "--split",
        nargs="+",
        metavar="SPLIT",
        help="with --data: the splits to check (default: train and val)",
    )
    parser.add_argument("--classes", type=positive, metavar="N", help="with DIR: the number of classes")
    parser.add_argument(
        "--sheet",
        metavar="FILE",
        help=f"also draw up to {SHEET} images, with their masks over them, as a PNG",
    )
    add_max_pixels(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    if (args.folder is None) == (args.data is None):
        raise SettingsError("kseg check-data takes either a folder or --data NAME")
    if args.split and args.data is None:
        raise SettingsError("kseg check-data DIR looks at all splits; --split needs --data")
    if args.data is None:
        refuse(args, "it is of --data", "root")
    else:
        refuse(args, "the data set has its own classes; it is of a folder given as DIR", "classes")
    whole_folder = args.data is None or (args.data == "folder" and not args.split)
    if whole_folder:
        folder = args.root if args.folder is None else args.folder
        if folder is None:
            raise DataError("kseg check-data --data folder needs --root, the folder with images/ and masks/")
        found = [_check(folder, "the folder", args.max_pixels, args.classes)]
    else:
        splits = args.split or default_splits(args.data, args.root)
        found = [_check_split(args.data, args.root, split, args.max_pixels) for split in splits]
    if args.sheet is not None:
        write_sheet(args)
    if args.json:
        contents = [findings.to_json() for findings in found]
        print(json.dumps(contents[0] if whole_folder else contents, indent=2))
    else:
        print("\n\n".join(findings.table() for findings in found))
    return 0 if all(findings.ok for findings in found) else 1


def write_sheet(args: argparse.Namespace) -> None:
    """Some images of all splits that can be read, evenly spaced, on one page."""
    from kseg.cli.verbs.evaluate import write_image
    from kseg.data import load
    from kseg.visualize.data_sheet import data_sheet

    name, root = args.data or "folder", args.root if args.folder is None else args.folder
    splits = args.split or default_splits(name, root)
    samples, dataset = [], None
    for split in splits:
        with contextlib.suppress(DataError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = load(name, root, split, complete=False, max_pixels=args.max_pixels)
            count = min(-(-SHEET // len(splits)), len(dataset))
            for index in (len(dataset) * i // count for i in range(count)):
                with contextlib.suppress(DataError):
                    samples.append((*dataset.load(index), dataset.name_of(index)))
    if not samples:
        raise DataError(f"{args.sheet}: there is no image with its mask that can be drawn")
    drawn = data_sheet(*zip(*samples, strict=True), dataset.classes, dataset.palette)
    write_image(Path(args.sheet), drawn)


def default_splits(name: str, root: str | None) -> tuple[str, ...]:
    """The splits that are looked at where none is named."""
    if name.startswith("tfds:"):
        return ("train",)
    if name == "oxford_iiit_pet":
        return "train", "test"
    images = Path(root, "images") if name == "folder" and root else None
    if images is not None and images.is_dir():
        return tuple(sorted(entry.name for entry in images.iterdir() if entry.is_dir())) or ("train",)
    return "train", "val"


def _check(source: Any, label: str, max_pixels: int, classes: int | None = None) -> Any:
    from kseg.data import check

    with Bar(f"reading {label}") as bar:
        return check(source, classes, on_sample=bar, max_pixels=max_pixels)


def _check_split(name: str, root: str | None, split: str, max_pixels: int) -> Any:
    """What is wrong with a split; one that cannot even be listed is itself a finding."""
    from dataclasses import replace

    from kseg.data import Finding, Findings, datasets, load

    known = name in datasets() or name.startswith("tfds:")
    try:
        dataset = load(name, root, split, complete=False, max_pixels=max_pixels)
    except DataError as error:
        if not known or (root is None and name != "shapes") or (root and not Path(root).is_dir()):
            raise
        finding = Finding("data set", str(root), str(error))
        return Findings(f"{name} {split}", 0, (), (), (), 0, (finding,))
    return replace(_check(dataset, split, max_pixels), name=f"{name} {split}")
