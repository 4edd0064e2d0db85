"""Export models to every format, check each file on real images, and print one table.

    python tools/export_report.py runs/*/best.keras --data camvid --root ../shared/data/camvid
    python tools/export_report.py pspnet_efficientnetlite0 deconvnet_small --data camvid --root DIR --limit 10

A name of the catalog is built with the packaged weights and random head weights: enough to compare the formats,
not to score them. Each row is one file, loaded again in its own runtime and compared with the Keras model at
--size. A row falls short where
  float32 and ONNX   fewer than 99.9 % of the pixels agree, or logits differ by more than 1e-3 (1e-5 of the largest
                     logit, where that is more); unpooling may move up to 1 % of the pixels, see kseg.export.Parity,
                     and images that differ by more are compared upside down and mirrored too, as export does
  int8               a trained model loses more than --max-drop of its mean IoU
  all                TFLite holds operations that are not builtin, or the exporter refuses the model.
Exit code 1 if one does. Files are thrown away unless --keep names a folder.
"""

import argparse
import contextlib
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

FORMATS = ("float32", "float16", "dynamic", "int8", "onnx")
COLUMNS = "{:<30} {:<8} {:>10} {:>10} {:>17} {:>8} {:>8} {:>7}  {}"
HEAD = COLUMNS.format("model", "file", "same class", "difference", "mean IoU", "lost", "ms", "MB", "")


def model_named(name: str):
    """A .keras file's model, or one of the catalog whose untrained layers got random weights."""
    import kseg

    if name.endswith(".keras"):
        return kseg.models.load(name)
    model = kseg.models.build(name, 11)
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) == 4 and not np.asarray(variable).any():
            variable.assign(rng.normal(0, 0.05, variable.shape))
    return model


def write(model, path: Path, kind: str, size, calibration) -> None:
    """One file of one format or precision."""
    import kseg

    if kind == "onnx":
        kseg.export.onnx(model, path, size=size)
    else:
        images = kseg.export.calibration_images(calibration, size) if kind == "int8" else None
        kseg.export.tflite(model, path, size=size, precision=kind, calibration=images)


def short_of(found, kind: str, trained: bool, max_drop: float) -> str:
    """Why a row falls short; empty where it does not."""
    parity, reasons = found.parity, []
    if kind in ("float32", "onnx"):
        limit = max(1e-3, 1e-5 * parity.largest_logit)
        least = 0.999 - (0.01 if parity.indices else 0)
        reasons += ["pixels differ"] if parity.agreement < least else []
        far = parity.largest_difference > limit and not (parity.indices and parity.equal)
        reasons += [f"logits differ by more than {limit:.2g}"] if far else []
    if kind == "int8" and trained and found.drop is not None and found.drop > max_drop:
        reasons.append(f"loses more than {max_drop}")
    return ", ".join(reasons + (["not builtin: " + " ".join(found.outside)] if found.outside else []))


def turned(model, path: Path, dataset, limit: int | None):
    """The same images' `Parity` where one that differs may agree upside down: see `compare`."""
    import kseg
    from kseg.export.graph import in_float32
    from kseg.export.images import images_and_labels
    from kseg.export.parity import compare
    from kseg.inference.model_info import inspect_model

    exported, info = kseg.export.load(path), inspect_model(model)
    images = images_and_labels(dataset, hasattr(dataset, "load"), exported.size, info, limit)
    return compare(in_float32(model), exported, (batch for batch, _ in images), info)


def line(name: str, kind: str, found, short: str) -> str:
    scores = "" if found.before is None else f"{found.before:.4f} -> {found.after:.4f}"
    lost = "" if found.drop is None else f"{found.drop:+.4f}"
    parity = found.parity
    numbers = f"{parity.agreement:.4%}", f"{parity.largest_difference:.2g}", scores, lost
    return COLUMNS.format(
        name, kind, *numbers, f"{found.milliseconds:.1f}", f"{found.bytes / 1e6:.2f}", short
    ).rstrip()


def rows(name: str, args: argparse.Namespace, folder: Path):
    """(kind, its check or None, why it falls short) for each format of a model."""
    import kseg

    model = model_named(name)
    dataset = kseg.data.load(args.data, args.root, args.split)
    calibration = kseg.data.load(args.data, args.root, "train") if "int8" in args.formats else None
    if model.outputs[0].shape[-1] != dataset.num_classes:
        dataset = [
            dataset.load(i)[0] for i in range(min(len(dataset), args.limit or 20))
        ]  # no labels to count
    stem = Path(name).parent.name if name.endswith(".keras") else name
    for kind in args.formats:
        path = folder / (f"{stem}.onnx" if kind == "onnx" else f"{stem}_{kind}.tflite")
        try:
            write(model, path, kind, tuple(args.size), calibration)
            found = kseg.export.check(model, path, dataset, limit=args.limit)
            if kind in ("float32", "onnx") and found.parity.indices and not found.parity.equal:
                found = replace(found, parity=turned(model, path, dataset, args.limit))
        except kseg.KsegError as error:
            yield kind, None, str(error)
            continue
        yield kind, found, short_of(found, kind, name.endswith(".keras"), args.max_drop)


def main(argv: list[str]) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="MODEL", help=".keras files, or names of the catalog")
    parser.add_argument("--data", required=True, metavar="NAME")
    parser.add_argument("--root", metavar="DIR")
    parser.add_argument("--split", default="val")
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480), metavar=("H", "W"))
    parser.add_argument("--limit", type=int, metavar="N", help="only N images, evenly spaced")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=["float32", "int8", "onnx"])
    parser.add_argument("--max-drop", type=float, default=0.02, metavar="IOU", help="of int8; default: 0.02")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the checks there too")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the exported files there")
    args = parser.parse_args(argv)
    found, failed = [], False
    print(HEAD)
    with contextlib.ExitStack() as stack:
        folder = args.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in args.models:
            shown = "/".join(Path(name).parts[-2:])[-30:]
            for kind, check, short in rows(name, args, folder):
                failed |= bool(short)
                print(
                    line(shown, kind, check, short) if check else f"{shown:<30} {kind:<8} {short}", flush=True
                )
                found.append(
                    {"model": name, "file": kind, "short": short, **(check.to_json() if check else {})}
                )
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
