"""Export a trained model to TFLite, ONNX or a SavedModel, and check the file against it.

  kseg export --model runs/x/best.keras --out x.tflite --size 360 480
  kseg export --model runs/x/best.keras --out x.tflite --size 360 480 --precision int8 --class-ids \\
      --data camvid --root camvid --max-drop 0.02
  kseg export --model runs/x/best.keras --out x.tflite --size 360 480 --auto --data camvid --root camvid
  kseg export --model runs/x/best.keras --out x.onnx
  kseg export --model runs/x/best.keras --format saved_model --out served/x --size 360 480
  kseg export --model people --format web --out site

The file is loaded again in its own runtime and compared before it gets its name. With --max-drop, a file that
loses more mean IoU is thrown away and the exit code is 1. With --int8-budget, layers that int8 hurts stay in float32.
"""

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kseg.cli.options.export import add_arguments
from kseg.cli.options.given import refuse
from kseg.cli.terminal import Bar, printed_warnings
from kseg.errors import SettingsError
from kseg.export.formats import FORMATS, Format, format_for

__all__ = ["add_arguments", "run"]

# Arguments that some formats take, and those that belong to the check of a file.
OPTIONS = (
    *("dynamic", "class_ids", "precision", "int8_budget", "auto"),
    *("version", "overwrite", "confidence", "runtime"),
)
CHECKS = ("max_drop", "min_agreement", "limit")


def run(args: argparse.Namespace) -> int:
    chosen = format_for(args.out, args.format)
    _refuse_others(args, chosen)
    if not chosen.checked:
        return _page(args)
    if args.data is None and (args.max_drop is not None or args.auto or args.precision == "int8"):
        raise SettingsError(
            "kseg export --max-drop, --auto and --precision int8 need images: --data NAME --root DIR"
        )
    if args.int8_budget is not None and args.precision != "int8":
        raise SettingsError("kseg export --int8-budget is for --precision int8")
    # Options of the check and of the calibration that nothing would use.
    if args.data is None:
        refuse(args, "it is of --data", "root", "split", "limit", "max_pixels")
    if not (args.auto or args.precision == "int8"):
        refuse(args, "it is of --precision int8 and --auto", "calibration_split", "calibration_count")
    where = chosen.place(Path(args.out), args.version)
    if "version" in chosen.options and not args.overwrite and where.exists():
        raise SettingsError(f"{where} exists: choose another --version, or replace it with --overwrite")

    from kseg.data import load as load_data
    from kseg.export.graph import chosen_size
    from kseg.models import load_trained

    model = load_trained(args.model)
    if chosen.needs_size or not args.dynamic:
        args.size = chosen_size(model, args.size)
    dataset = (
        None if args.data is None else load_data(args.data, args.root, args.split, max_pixels=args.max_pixels)
    )
    if args.auto:
        return _auto(args, model, dataset)
    return _export(args, chosen, where, model, dataset)


def _refuse_others(args: argparse.Namespace, chosen: Format) -> None:
    """SettingsError for options that the format does not have, or that do not go together."""
    given = [name for name in OPTIONS if getattr(args, name) not in (None, False, "float32")]
    for name in given:
        if name not in chosen.options:
            takes = " and ".join(one.title for one in FORMATS if name in one.options)
            flag = f"--{name.replace('_', '-')}" + (f" {args.precision}" if name == "precision" else "")
            raise SettingsError(f"kseg export {flag} is for {takes}, not for {chosen.title}")
    if args.auto and (args.dynamic or args.precision is not None):
        raise SettingsError(
            "kseg export --auto tries every precision at fixed sizes: without --precision, --dynamic"
        )
    if not chosen.checked and (extra := [name for name in CHECKS if getattr(args, name) is not None]):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in extra)
        raise SettingsError(f"kseg export --format {chosen.name} compares no file with {flags}: leave it out")


def _export(args: argparse.Namespace, chosen: Format, where: Path, model: Any, dataset: Any) -> int:
    """Export and check; the file gets its name only if it passes."""
    from kseg.export import check
    from kseg.export.conversion.int8_budget import BudgetError

    checks = []

    def accept(path: Path) -> bool:
        with Bar("checking") as bar:
            found = check(
                model,
                path,
                dataset,
                max_drop=args.max_drop,
                min_agreement=args.min_agreement,
                output=args.output_kind,
                limit=args.limit,
                progress=bar,
            )
        checks.append(found)
        return found.passed

    options = {name: getattr(args, name) for name in chosen.options if getattr(args, name, None) is not None}
    options.pop("auto", None)
    if args.precision == "int8":
        options["calibration"] = _calibration(args, _size(args))
    if args.int8_budget is not None:
        options["images"] = dataset
    try:
        written = chosen.export(
            model,
            args.out,
            size=_size(args),
            min_agreement=0.0,  # the check judges it, with exit code 1
            output=args.output_kind,
            accept=accept,
            **options,
        )
    except BudgetError as error:
        print(f"kseg: {where} was not written: {error}", file=sys.stderr)
        return 1
    found, int8 = replace(checks[0], path=str(where)), getattr(written, "int8", None)
    if args.json:
        print(json.dumps(found.to_json() | ({"int8": asdict(int8)} if int8 else {}), indent=2))
    else:
        print(found.table() + (f"\n{'int8 budget':<20} {int8}" if int8 else ""))
    failed = f"{where} was not written: {'; '.join(found.reasons)}"
    print(f"written to {where}" if found.passed else f"kseg: {failed}", file=sys.stderr)
    return 0 if found.passed else 1


def _page(args: argparse.Namespace) -> int:
    from kseg.data import load as load_data
    from kseg.webcam.web.publish import publish

    calibration = None
    if args.data is not None:
        calibration = load_data(args.data, args.root, args.calibration_split, max_pixels=args.max_pixels)
    with Bar("images") as bar, printed_warnings(bar):
        found = publish(
            args.model,
            args.out,
            size=_size(args),
            calibration=calibration,
            count=args.calibration_count,
            runtime=args.runtime,
            overwrite=args.overwrite,
        )
    print(json.dumps(found.to_json(), indent=2) if args.json else found.table())
    print(f"written to {args.out}; README.txt there says how to host it", file=sys.stderr)
    return 0


def _size(args: argparse.Namespace) -> tuple[int, int] | None:
    return None if args.size is None else tuple(args.size)


def _calibration(args: argparse.Namespace, size: tuple[int, int] | None) -> Any:
    from kseg.data import load as load_data
    from kseg.export import calibration_images

    if size is None:
        raise SettingsError("kseg export --precision int8 needs --size H W")
    dataset = load_data(args.data, args.root, args.calibration_split, max_pixels=args.max_pixels)
    return calibration_images(dataset, size, count=args.calibration_count)


def _auto(args: argparse.Namespace, model: Any, dataset: Any) -> int:
    from kseg.export import auto
    from kseg.inference import inspect_model

    if args.size is None:
        raise SettingsError("kseg export --auto needs --size H W, the largest size to try")
    free = inspect_model(model, args.output_kind).size is None
    sizes = smaller_sizes(_size(args)) if free else [_size(args)]
    with Bar("trying") as bar:
        choice = auto(
            model,
            args.out,
            dataset,
            sizes=sizes,
            max_drop=0.02 if args.max_drop is None else args.max_drop,
            calibration=_calibration(args, sizes[0]),
            class_ids=args.class_ids,
            limit=args.limit or 100,
            min_agreement=args.min_agreement,
            output=args.output_kind,
            progress=bar,
        )
    print(json.dumps(choice.to_json(), indent=2) if args.json else choice.table())
    done = choice.chosen is not None
    message = (
        f"written to {args.out}" if done else f"nothing within {choice.max_drop:.4f} mean IoU, not written"
    )
    print(message, file=sys.stderr)
    return 0 if done else 1


def smaller_sizes(size: tuple[int, int]) -> list[tuple[int, int]]:
    """The size, three quarters and half of it, in multiples of 8."""
    parts = [tuple(max(8, round(side * part / 8) * 8) for side in size) for part in (3 / 4, 1 / 2)]
    return list(dict.fromkeys([size, *parts]))
