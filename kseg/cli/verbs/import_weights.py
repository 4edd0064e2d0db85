"""Make a kseg model of a published weights file: PyTorch, Caffe, safetensors, Keras, TensorFlow.

kseg import-weights deeplabv3_resnet50_coco-cd0a2569.pth --palette voc --out deeplabv3.keras
kseg import-weights pspnet50_ADE20K.caffemodel --classes ade20k --palette ade20k --out pspnet.keras
kseg import-weights deeplabv3plus.pth --set aspp_rates=6,12,18 --out deeplabv3plus.keras
kseg import-weights unknown.pth --list
kseg import-weights fcn_resnet50_coco-1167a1af.pth --download --out fcn.keras

Nothing in the file is executed. kseg models --published lists the files that kseg knows by name.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import positive
from kseg.cli.options.given import refuse

_SETS = ("voc", "ade20k", "cityscapes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="the weights file (for a TensorFlow checkpoint, its prefix)"
    )
    parser.add_argument(
        "--out",
        metavar="MODEL.keras",
        type=Path,
        help="the .keras file to write; its card is written beside it as .json",
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="only show the keys and shapes in the file, and which source it seems to come from",
    )
    parser.add_argument(
        "--source",
        default="auto",
        metavar="S",
        help="such as mmseg/pspnet or caffe/fcn (default: auto, recognised by the keys)",
    )
    parser.add_argument(
        "--classes",
        "--names",
        metavar="FILE",
        help=f"class names, one a line, or the names of {', '.join(_SETS)}; default: those in the file",
    )
    parser.add_argument(
        "--palette", choices=_SETS, help="take the palette of this data set (default: the one in the file)"
    )
    parser.add_argument(
        "--output-stride",
        type=positive,
        metavar="N",
        help="output stride of the backbone (default: the source's usual one)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting that no key of the file shows, such as aspp_rates=6,12,18; may be given several times "
        "(default: that of the file's config, and else the source's usual one; all are printed)",
    )
    parser.add_argument(
        "--part",
        metavar="P",
        help="take only this dictionary of a checkpoint, such as model_ema, or only the arrays whose keys begin with "
        "this, such as backbone",
    )
    parser.add_argument(
        "--auxiliary",
        metavar="FILE.keras",
        type=Path,
        help="also write the network with its auxiliary head, to train on in Keras (outputs logits "
        "and auxiliary)",
    )
    parser.add_argument(
        "--download",
        action="store_true",
        help="download FILE first; it is a name that kseg models --published lists",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from kseg.errors import SettingsError

    if args.list:
        refuse(
            args,
            "--list only shows the file",
            "out",
            "source",
            "classes",
            "palette",
            "output_stride",
            "set",
            "auxiliary",
        )
    elif args.out is None:
        raise SettingsError("kseg import-weights needs --out MODEL.keras, or --list to look into the file")
    if args.download:
        download(args.file)
    if args.list:
        return show(args.file, args.json, args.part)
    from kseg.weights import import_weights
    from kseg.weights.settings import parse
    from kseg.weights.writing import check_targets, write

    check_targets(args.file, args.out, args.auxiliary)
    found = import_weights(
        args.file,
        args.source,
        classes=class_names(args.classes),
        palette=colours(args.palette),
        output_stride=args.output_stride,
        settings=parse(args.set),
        part=args.part,
        auxiliary=args.auxiliary is not None,
    )
    card = write(found, args.file, args.out, args.auxiliary)
    if args.json:
        print(json.dumps(card, indent=2))
        return 0
    print(found.note)
    print(f"{len(found.copied)} arrays copied, {len(found.unused)} left out{groups(found.unused)}")
    print(f"licence: {card['licence']}; published score: {card['score']} ({card['protocol']})")
    print(
        f"{args.out}: written, loaded again and compared; {args.out.with_suffix('.json').name} says where it is from"
    )
    return 0


def show(path: Path, as_json: bool, part: str | None = None) -> int:
    """Print keys, shapes and what they look like."""
    from kseg.errors import ModelError
    from kseg.weights import identify, read

    arrays, meta = read(path, part)
    try:
        looks_like = "a model of kseg itself" if meta.get("package") == "kseg" else identify(arrays)
    except ModelError as error:
        looks_like = str(error)
    if as_json:
        rows = {key: {"shape": list(array.shape), "dtype": str(array.dtype)} for key, array in arrays.items()}
        print(json.dumps({"looks_like": looks_like, "meta": meta, "arrays": rows}, indent=2))
        return 0
    width = max((len(key) for key in arrays), default=0)
    for key, array in arrays.items():
        print(f"{key:{width}}  {'x'.join(map(str, array.shape)) or 'one number':<18} {array.dtype}")
    said = []
    for name, value in meta.items():
        value = ", ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value or "")
        if value:
            said.append(f"{name}: {value}" if len(value) < 200 else f"{name}: {value[:200]}...")
    print(f"{len(arrays)} arrays, {sum(array.size for array in arrays.values()):,} numbers; {'; '.join(said)}")
    print(f"looks like {looks_like}")
    return 0


def groups(unused: tuple[str, ...]) -> str:
    """What was left out, by the first part of the keys: " (auxiliary_head 7, fc 2)"."""
    counts: dict[str, int] = {}
    for key in unused:
        name = (
            "num_batches_tracked"
            if key.endswith("num_batches_tracked")
            else key.replace("/", ".").partition(".")[0]
        )
        counts[name] = counts.get(name, 0) + 1
    return f" ({', '.join(f'{name} {count}' for name, count in counts.items())})" if counts else ""


def class_names(given: str | None) -> tuple[str, ...] | None:
    """The names that ``--classes`` asks for: of a data set, or of a file with one a line."""
    if given is None:
        return None
    if given in _SETS:
        return _data_set(given).CLASSES
    from kseg.data.class_list import read_classes

    return read_classes(given)[0]


def colours(name: str | None) -> tuple[tuple[int, ...], ...] | None:
    """The palette of a data set."""
    if name is None:
        return None
    if name == "voc":
        from kseg.io.colour_map import colour_map

        return tuple(colour_map(len(_data_set(name).CLASSES)))
    return _data_set(name).PALETTE


def _data_set(name: str) -> Any:
    import importlib

    return importlib.import_module(f"kseg.data.sources.{name}")


def download(path: Path) -> None:
    """Fetch a file that `kseg models --published` lists, unless it lies there already."""
    from kseg.errors import ModelError
    from kseg.weights.published_files import fetch, find_published

    known = find_published(path.name)
    if known is None:
        raise ModelError(
            f"{path.name}: not a file that kseg knows by name; kseg models --published lists them"
        )
    if path.exists():
        return
    print(f"fetching {known.url}", file=sys.stderr)
    fetch(known, path, lambda received: print(f"\r{received >> 20} MiB", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)
