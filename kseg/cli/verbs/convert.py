"""Turn annotations of other programs into a folder of images and masks, or such a folder into COCO's JSON.

kseg convert coco annotations.json --images photos --out my_data --val 0.2
kseg convert labelme labelled --out my_data --val 0.2
kseg convert yolo coco8-seg --out my_data
kseg convert cvat task_7 --images photos --out my_data
kseg convert roboflow leaves --out my_data
kseg convert colours my_colour_masks --out my_data
kseg convert folder my_data --out instances.json
"""

import argparse
from pathlib import Path
from typing import Any

from kseg.cli.terminal import Bar
from kseg.errors import SettingsError

FORMATS = ("coco", "labelme", "yolo", "cvat", "roboflow", "colours", "folder")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "format",
        choices=FORMATS,
        help="format of SOURCE; colours is a folder with images/, masks/ painted in colours, and a "
        "list of classes",
    )
    parser.add_argument("source", metavar="SOURCE", help="the annotations: a folder, or COCO's JSON file")
    parser.add_argument(
        "--out", required=True, metavar="PATH", help="the new folder, or a file ending in .json for COCO"
    )
    parser.add_argument("--images", metavar="DIR", help="folder of the images, if SOURCE does not hold them")
    parser.add_argument(
        "--split",
        metavar="NAME",
        help="split to convert, for yolo, cvat, roboflow, colours and folder (default: train)",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="the classes to take, in this order, for coco, labelme, yolo and roboflow",
    )
    parser.add_argument(
        "--val",
        type=float,
        default=0.0,
        metavar="PART",
        help="share of the images that becomes the split val, such as 0.2",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random choice for --val")


def run(args: argparse.Namespace) -> int:
    from kseg.data import convert, to_coco

    parts = _open(args)
    dataset = parts[0]
    if args.out.endswith(".json"):
        if args.val:
            raise SettingsError("--val needs a folder as --out: a COCO file has no splits")
        if len(parts) > 1:
            raise SettingsError(f"{args.source} has several splits: say which with --split")
        print(to_coco(dataset, args.out))
        return 0
    with Bar("converting") as bar:
        out = convert(parts, args.out, val=args.val, seed=args.seed, on_sample=bar)
    counts = {path.name: sum(1 for _ in path.iterdir()) for path in sorted((out / "images").iterdir())}
    told = ", ".join(f"{count} {name}" for name, count in counts.items())
    print(f"{out}: {told}; classes: {', '.join(dataset.classes)}")
    return 0


def _open(args: argparse.Namespace) -> list[Any]:
    """The data sets that the arguments name; SettingsError for those that the format does not use."""
    from kseg import data

    takes = {
        "coco": ("images", "classes"),
        "labelme": ("images", "classes"),
        "yolo": ("split", "classes"),
        "cvat": ("images", "split"),
        "roboflow": ("split", "classes"),
        "colours": ("split",),
        "folder": ("split",),
    }[args.format]
    for name in ("images", "classes", "split"):
        if getattr(args, name) is not None and name not in takes:
            raise SettingsError(f"--{name} has no meaning for {args.format}")
    given = {name: getattr(args, name) for name in takes if getattr(args, name) is not None}
    name = Path(args.source).resolve().stem
    if args.format == "coco":
        return [
            data.from_coco(args.source, given.pop("images", Path(args.source).parent), name=name, **given)
        ]
    if args.format in ("colours", "folder"):
        return [data.load("folder", args.source, given.get("split", "train"))]
    opener = getattr(data, f"from_{args.format}")
    if "split" in takes and args.format != "cvat" and "split" not in given and not args.val:
        root = Path(args.source)
        there = [
            one
            for one in ("train", "val", "valid", "test")
            if any((root / p / one).is_dir() for p in ("", "images"))
        ]
        return [opener(args.source, split=one, name=name, **given) for one in there or ["train"]]
    return [opener(args.source, name=name, **given)]
