"""Export a trained model to TFLite, ONNX or a SavedModel, and check the file against it.

  kseg export --model runs/x/best.keras --out x.tflite --size 360 480
  kseg export --model runs/x/best.keras --out x.tflite --size 360 480 --precision int8 --class-ids \\
      --data camvid --root camvid --max-drop 0.02
  kseg export --model runs/x/best.keras --out x.tflite --size 360 480 --auto --data camvid --root camvid
  kseg export --model runs/x/best.keras --out x.onnx
  kseg export --model runs/x/best.keras --format saved_model --out served/x --size 360 480
  kseg export --model people --format web --out site

The file is loaded again in its own runtime and compared before it gets its name. With --max-drop, a file that
loses more mean IoU is thrown away and the exit code is 1.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from kseg.cli.options.export import add_arguments
from kseg.cli.options.given import refuse
from kseg.cli.terminal import Bar, warnings_told
from kseg.errors import SettingsError

__all__ = ["add_arguments", "run"]
ENDINGS = {".tflite": "tflite", ".onnx": "onnx"}


def run(args: argparse.Namespace) -> int:
    from kseg.data import load as load_data
    from kseg.export.graph import chosen_size
    from kseg.models import load_trained

    if args.format == "web":
        return _web(args)
    kind = _format(args)
    if args.data is None and (args.max_drop is not None or args.auto or args.precision == "int8"):
        raise SettingsError(
            "kseg export --max-drop, --auto and --precision int8 need pictures: --data NAME --root DIR"
        )
    _refuse_unused(args, kind)
    version = _version(args) if kind == "saved_model" else 0
    model = load_trained(args.model)
    if kind == "tflite" or not args.dynamic:
        args.size = chosen_size(model, args.size)
    dataset = (
        None if args.data is None else load_data(args.data, args.root, args.split, max_pixels=args.max_pixels)
    )
    if args.auto:
        return _auto(args, model, dataset)
    if kind == "saved_model":
        return _saved_model(args, version, model, dataset)
    return _file(args, kind, model, dataset)


def _format(args: argparse.Namespace) -> str:
    """The kind of file; SettingsError for options that it does not have."""
    if args.runtime:
        raise SettingsError("kseg export --runtime is for --format web")
    ending = Path(args.out).suffix
    kind = args.format or ENDINGS.get(ending, "saved_model")
    if kind != "saved_model" and ENDINGS.get(ending) != kind:
        raise SettingsError(f"kseg export --format {kind} writes a file that ends in .{kind}, not {args.out}")
    if args.format is None and ending and ending not in ENDINGS:
        raise SettingsError(
            f"{args.out}: {ending} is neither .tflite nor .onnx; for a SavedModel's folder of this name add "
            "--format saved_model"
        )
    if kind != "saved_model" and Path(args.out).is_dir():
        raise SettingsError(f"{args.out}: a folder has this name; choose another for the file")
    if args.auto and kind != "tflite":
        raise SettingsError(f"kseg export --auto is for TFLite files, not for {kind}")
    if args.auto and (args.dynamic or args.precision != "float32"):
        raise SettingsError(
            "kseg export --auto tries every precision at fixed sizes: without --precision, --dynamic"
        )
    for name in ("version", "overwrite", "confidence"):
        if getattr(args, name) and kind != "saved_model":
            raise SettingsError(f"kseg export --{name} is for SavedModels, not for {kind}")
    if args.class_ids and kind == "saved_model":
        raise SettingsError("kseg export --class-ids is for TFLite and ONNX: a SavedModel gives masks anyway")
    if args.precision != "float32" and kind != "tflite":
        raise SettingsError(f"kseg export --precision {args.precision} is for TFLite files, not for {kind}")
    return kind


def _refuse_unused(args: argparse.Namespace, kind: str) -> None:
    """SettingsError for options of the check and of the calibration that nothing would use."""
    if args.data is None:
        refuse(args, "it is of --data", "root", "split", "limit", "max_pixels")
    if not (args.auto or args.precision == "int8"):
        refuse(args, "it is of --precision int8 and --auto", "calibration_split", "calibration_count")


def _web(args: argparse.Namespace) -> int:
    from kseg.data import load as load_data
    from kseg.webcam.web.publish import publish

    others = ("dynamic", "class_ids", "auto", "confidence", "version", "max_drop", "limit")
    if extra := [name for name in others if getattr(args, name)] + ["precision"] * (
        args.precision != "float32"
    ):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in extra)
        raise SettingsError(
            f"kseg export --format web writes its own precisions at a fixed size: without {flags}"
        )
    load = partial(load_data, args.data, args.root, args.calibration_split, max_pixels=args.max_pixels)
    with Bar("images") as bar, warnings_told(bar):
        found = publish(
            args.model,
            args.out,
            size=_size(args),
            calibration=None if args.data is None else load(),
            count=args.calibration_count,
            runtime=args.runtime,
            overwrite=args.overwrite,
        )
    print(json.dumps(found.to_json(), indent=2) if args.json else found.table())
    print(f"written to {args.out}; README.txt there says how to host it", file=sys.stderr)
    return 0


def _version(args: argparse.Namespace) -> int:
    """The version's number; SettingsError where it is taken, before a model is loaded for nothing."""
    version = args.version or 1
    if not args.overwrite and (taken := Path(args.out) / str(version)).exists():
        raise SettingsError(f"{taken} exists: choose another --version, or replace it with --overwrite")
    return version


def _size(args: argparse.Namespace) -> tuple[int, int] | None:
    return None if args.size is None else tuple(args.size)


def _calibration(args: argparse.Namespace, size: tuple[int, int] | None) -> Any:
    from kseg.data import load as load_data
    from kseg.export import calibration_images

    if size is None:
        raise SettingsError("kseg export --precision int8 needs --size H W")
    dataset = load_data(args.data, args.root, args.calibration_split, max_pixels=args.max_pixels)
    return calibration_images(dataset, size, count=args.calibration_count)


def _file(args: argparse.Namespace, kind: str, model: Any, dataset: Any) -> int:
    """Export to a file under another name, check it, and give it its name only if it passes."""
    from kseg.export import onnx, tflite
    from kseg.io.atomic import put_in_place, temporary_path

    out, size = Path(args.out), _size(args)
    with temporary_path(out) as folder:
        folder.mkdir()
        made = folder / out.name
        if kind == "onnx":
            onnx(
                model,
                made,
                size=size,
                dynamic=args.dynamic,
                class_ids=args.class_ids,
                min_agreement=0.0,  # the check below judges it
                output=args.output_kind,
            )
        else:
            calibration = _calibration(args, size) if args.precision == "int8" else None
            tflite(
                model,
                made,
                size=size,
                precision=args.precision,
                calibration=calibration,
                dynamic=args.dynamic,
                class_ids=args.class_ids,
                min_agreement=0.0,
                output=args.output_kind,
            )
        found = _check(args, model, made, dataset)
        if found.passed:
            put_in_place(made, out)
    return _report(args, found, str(out))


def _check(args: argparse.Namespace, model: Any, path: Path, dataset: Any) -> Any:
    from kseg.export import check

    with Bar("checking") as bar:
        return check(
            model,
            path,
            dataset,
            max_drop=args.max_drop,
            min_agreement=args.min_agreement,
            output=args.output_kind,
            limit=args.limit,
            progress=bar,
        )


def _saved_model(args: argparse.Namespace, version: int, model: Any, dataset: Any) -> int:
    from kseg.export import saved_model

    checks = []

    def accept(folder: Path) -> bool:
        checks.append(_check(args, model, folder, dataset))
        return checks[0].passed

    saved_model(
        model,
        args.out,
        size=_size(args),
        dynamic=args.dynamic,
        version=version,
        overwrite=args.overwrite,
        confidence=args.confidence,
        accept=accept,
        min_agreement=0.0,
        output=args.output_kind,
    )
    return _report(args, checks[0], str(Path(args.out) / str(version)))


def _report(args: argparse.Namespace, found: Any, where: str) -> int:
    from dataclasses import replace

    found = replace(found, path=where)
    print(json.dumps(found.to_json(), indent=2) if args.json else found.table())
    failed = f"{where} was not written: {'; '.join(found.reasons)}"
    print(f"written to {where}" if found.passed else f"kseg: {failed}", file=sys.stderr)
    return 0 if found.passed else 1


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
