"""Which file of a model runs, in which runtime, and the predictor on it: LiteRT and onnxruntime start in a moment."""

import argparse
from pathlib import Path
from typing import Any

from kseg.cli.options.given import refuse
from kseg.cli.quiet import import_keras, quietly

# Options that only a Keras model can do.
_KERAS_ONLY = {
    *("scales", "fuse", "flip", "window", "long_side", "pad", "proposals", "ensemble"),
    *("proposal_size", "smallest", "join", "ensemble_mode", "steps"),
}


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--model`, `--backend` and `--trust`."""
    parser.add_argument(
        "--model", required=True, metavar="M", help="a .keras, .tflite or .onnx file, or a preset (people)"
    )
    parser.add_argument(
        "--backend",
        choices=("litert", "keras"),
        help="run a preset's int8 file in LiteRT, or its Keras model (default: litert, unless another "
        "option needs Keras)",
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="open a .tflite or .onnx file without first trying it in a separate process",
    )


def predictor_of_model(args: argparse.Namespace, crf: Any = None) -> Any:
    """The predictor that `--model` and the options of prediction ask for."""
    from kseg.errors import SettingsError

    path = exported_file(args)
    if path is None:
        from kseg.cli.options.arguments import predictor_of

        import_keras()
        from kseg.models import load_trained

        refuse(args, "a .keras file runs no code of its own", "trust")
        return predictor_of(load_trained(args.model), args, crf)
    if args.model != str(path):
        refuse(args, "presets are trusted", "trust")
    elif others := [name for name in vars(args) if name in args.given & _KERAS_ONLY]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise SettingsError(f"{path}: {flags} needs the Keras model: give its .keras file")
    from kseg.prediction import file_predictor

    with quietly():
        return file_predictor(
            path,
            args.size,
            args.output_kind,
            crf,
            trust=args.trust or args.model != str(path),
            threshold=args.threshold,
        )


def exported_file(args: argparse.Namespace) -> Path | None:
    """The file for LiteRT or onnxruntime that `--model` means; None where it is a Keras model."""
    from kseg.errors import ModelError, SettingsError
    from kseg.export.formats import suffixes
    from kseg.models import preset_file, presets

    path = Path(args.model)
    if path.suffix.lower() in suffixes():
        if args.backend is not None:
            raise SettingsError(
                f"--backend {args.backend}: {path} has a runtime of its own; --backend is only for presets"
            )
        if not path.is_file():
            raise ModelError(f"{path}: no such model file")
        return path
    if args.model not in presets():
        if args.backend == "litert":
            raise SettingsError(
                "--backend litert is only for presets; kseg export makes a .tflite file of your own model"
            )
        return None
    wants = args.given & _KERAS_ONLY
    size = presets()[args.model].get("size")
    other = args.size is not None and list(args.size) != size
    if args.backend == "litert" and (wants or other):
        raise SettingsError(
            f"--backend litert: {args.model}'s int8 file takes {size} only, at one scale; --backend keras does the rest"
        )
    if args.backend == "keras" or wants or other or "int8" not in presets()[args.model]["files"]:
        return None
    return preset_file(args.model, "int8")
