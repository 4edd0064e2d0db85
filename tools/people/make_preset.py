"""Make a preset of a trained model: a .keras file of half precision, an int8 TFLite file, and the card.

    python tools/people/make_preset.py people --model runs/people/best.keras --data people --root ../shared/data \
        --size 256 256 --licence "..." --limits "..." --description "..."

Writes NAME.keras, NAME_int8.tflite and NAME.json into --out (default: kseg/models/presets). Settings and command
come from the run's recipe.json, scores from --split of the data set, on which a model is chosen; int8 is calibrated
on --calibration-split. Nothing is written unless both files load, are at most 10 MB and int8 loses at most
--max-drop mean IoU.
"""

import argparse
import hashlib
import io
import json
import os
import shlex
import sys
import zipfile
from pathlib import Path

PRESETS = Path(__file__).resolve().parents[2] / "kseg" / "models" / "presets"
MAX_BYTES = 10_000_000
WEIGHTS = "model.weights.h5"
CONFIG = "config.json"


def packed(source: Path, target: Path, size: tuple[int, int]) -> None:
    """Copy a .keras file with its float32 arrays as float16 and the size it works at.

    Arrays that would change by over 0.1 % stay as they are.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == WEIGHTS:
                data = _halved_hdf5(data)
            elif name == CONFIG:
                data = _sized(data, size)
            new.writestr(name, data)


def _sized(data: bytes, size: tuple[int, int]) -> bytes:
    """A Segmenter's configuration with its ``working_size``; others have none."""
    whole = json.loads(data)
    if "num_classes" in whole["config"]:
        whole["config"]["working_size"] = list(size)
    return json.dumps(whole).encode()


def _halved_hdf5(data: bytes) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(io.BytesIO(data), "r") as old, h5py.File(buffer, "w") as new:
        _copy(old, new)
    return buffer.getvalue()


def _copy(old, new) -> None:
    """Groups, attributes and arrays of an HDF5 file, arrays halved where that is harmless."""
    import h5py

    new.attrs.update(old.attrs)
    for name, item in old.items():
        if isinstance(item, h5py.Group):
            _copy(item, new.create_group(name))
        else:
            copied = new.create_dataset(name, data=_half(item[()]))
            copied.attrs.update(item.attrs)


def _half(array):
    import numpy as np

    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    # Values far below the largest may round to nothing: a thousandth of the array's scale is the measure.
    harmless = np.isfinite(half).all() and np.allclose(
        half, array, rtol=1e-3, atol=1e-5 * np.abs(array).max()
    )
    is_variance = array.ndim == 1 and (array >= 0).all()  # a divisor: its small values count as much
    if is_variance:
        harmless = np.isfinite(half).all() and np.allclose(half, array, rtol=1e-3, atol=0)
    return half if harmless else array


def class_scores(model, dataset, size, limit: int | None = None) -> dict:
    """Class IoU and mean IoU of a callable (1, H, W, 3) -> logits, images stretched to ``size`` as the app does."""
    import cv2
    import numpy as np

    from kseg.export.images import resized
    from kseg.metrics import confusion_matrix, scores

    counts = np.zeros((dataset.num_classes,) * 2, np.int64)
    chosen = range(0, len(dataset), max(1, len(dataset) // limit) if limit else 1)
    for index in chosen:
        image, labels = dataset.load(index)
        small = resized(image, size).astype(np.float32)
        logits = np.asarray(model(small[None]))[0]
        logits = cv2.resize(logits, labels.shape[::-1], interpolation=cv2.INTER_LINEAR)
        predicted = logits.argmax(-1).astype(np.uint8)
        counts += confusion_matrix(labels, predicted, dataset.num_classes, dataset.ignore_label)
    iou = scores.class_iou(counts)
    by_class = {name: round(float(v), 4) for name, v in zip(dataset.classes, iou, strict=True)}
    return {"mean_iou": round(float(np.nanmean(iou)), 4), "class_iou": by_class, "pictures": len(chosen)}


def dataset(args: argparse.Namespace, split: str):
    """A data set of kseg, or `framed_people` of this folder, which holds val_portraits and val_empty of people too."""
    import kseg

    if args.data == "framed_people" or (args.data == "people" and split in ("val_portraits", "val_empty")):
        from framed import framed_people

        return framed_people(Path(args.root), split)
    return kseg.data.load(args.data, args.root, split)


def run_settings(model: Path) -> tuple[dict, str]:
    """The run's recipe, and the command that trains it again."""
    path = model.with_name("recipe.json")
    if not path.is_file():
        return {}, ""
    run = json.loads(path.read_text(encoding="utf-8"))
    recipe = run.get("recipe", run)
    words = [
        "kseg",
        "train",
        "--model",
        run.get("model", {}).get("name")
        or recipe["model"],  # a recipe may train another network than its own
        "--data",
        recipe["data"],
        "--recipe",
        recipe["name"],
    ]
    return recipe, shlex.join(words)


def entry(path: Path) -> dict:
    """A file's line in the card."""
    data = path.read_bytes()
    if len(data) > MAX_BYTES:
        raise SystemExit(f"{path}: {len(data):,} bytes, a preset's file has at most {MAX_BYTES:,}")
    return {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def make(args: argparse.Namespace) -> dict:
    """Write the files of a preset; gives the card."""
    import kseg

    size, out = tuple(args.size), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    keras_file, int8_file = out / f".{args.name}.part.keras", out / f".{args.name}.part.tflite"
    try:
        packed(Path(args.model), keras_file, size)
        model = kseg.models.load(keras_file)
        calibration = dataset(args, args.calibration_split)
        images = kseg.export.calibration_images(calibration, size, count=args.calibration)
        kseg.export.tflite(
            model,
            int8_file,
            size=size,
            precision="int8",
            calibration=images,
            min_agreement=args.min_agreement,
        )
        val = dataset(args, args.split)
        scores = {
            "split": f"{args.data} {args.split}",
            "keras": class_scores(lambda images: model(images, training=False), val, size, args.limit),
            "int8": class_scores(kseg.export.load(int8_file), val, size, args.limit),
        }
        for split in args.more_splits:
            more = dataset(args, split)
            scores[split] = class_scores(kseg.export.load(int8_file), more, size, args.limit)
        lost = scores["keras"]["mean_iou"] - scores["int8"]["mean_iou"]
        if lost > args.max_drop:
            raise SystemExit(f"int8 loses {lost:.4f} mean IoU, allowed are {args.max_drop}: {scores}")
        os.replace(keras_file, out / f"{args.name}.keras")
        os.replace(int8_file, out / f"{args.name}_int8.tflite")
    finally:
        keras_file.unlink(missing_ok=True)
        int8_file.unlink(missing_ok=True)
    card = card_of(args, model, scores, out)
    (out / f"{args.name}.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return card


def card_of(args: argparse.Namespace, model, scores: dict, out: Path) -> dict:
    settings, command = run_settings(Path(args.model))
    return {
        "name": args.name,
        "description": args.description,
        "classes": list(model.classes),
        "palette": [list(colour) for colour in model.palette],
        "size": list(args.size),
        "parameters": model.count_params(),
        "files": {
            "keras": entry(out / f"{args.name}.keras"),
            "int8": entry(out / f"{args.name}_int8.tflite"),
        },
        "data": args.data_text or args.data,
        "licence": args.licence,
        "settings": settings,
        "command": args.command or command,
        "scores": scores,
        "limits": args.limits,
    }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("name")
    made.add_argument("--model", required=True, help="a trained .keras file, best in its run folder")
    made.add_argument("--data", required=True)
    made.add_argument("--root")
    made.add_argument("--split", default="val", help="scored (val)")
    made.add_argument("--more-splits", nargs="*", default=(), help="scored in int8 too, for the card")
    made.add_argument("--calibration-split", default="train")
    made.add_argument("--calibration", type=int, default=200, help="images for int8 (200)")
    made.add_argument("--limit", type=int, help="of the scored images, to try it")
    made.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("H", "W"))
    made.add_argument("--max-drop", type=float, default=0.02)
    made.add_argument(
        "--min-agreement", type=float, default=0.9, help="share of pixels of the class that Keras gives (0.9)"
    )
    made.add_argument("--out", default=str(PRESETS))
    for text in ("description", "licence", "limits"):
        made.add_argument(f"--{text}", required=True)
    made.add_argument("--data-text", default="", help="the data in words; default: its name")
    made.add_argument("--command", default="", help="default: from recipe.json beside the model")
    return made


def main(argv: list[str] | None = None) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    card = make(parser().parse_args(argv))
    print(json.dumps({key: card[key] for key in ("name", "files", "scores")}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
