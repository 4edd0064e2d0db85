"""Describe a net of the catalog or a model file: parameters, stages, classes.

kseg info fcn8s_efficientnetlite0
kseg info runs/camvid/best.keras --json
"""

import argparse
import json
from math import prod
from pathlib import Path
from typing import Any

from kseg.cli.arguments import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a name that kseg models lists, or a .keras file")
    parser.add_argument(
        "--classes", type=positive, default=21, metavar="N", help="of a named net; default: 21"
    )
    parser.add_argument("--layers", action="store_true", help="also print every layer")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    from kseg.models import build, load, names

    if args.model in names():
        model = build(args.model, args.classes, weights=None)
    elif args.model.endswith(".keras") or Path(args.model).exists():
        model = load(args.model)
    else:
        model = build(args.model, args.classes)  # raises, and suggests a close name
    description = describe(model)
    if args.json:
        print(json.dumps(description, indent=2))
        return 0
    if args.layers:
        model.summary(line_length=110, print_fn=print)
    print(text(description))
    return 0


def describe(model: Any) -> dict[str, Any]:
    """Class, shapes, parameters by part, stages and class names of a model, as JSON has them."""
    backbone = getattr(model, "backbone", None)
    total = model.count_params()
    parameters = {"total": total, "trainable": sum(prod(w.shape) for w in model.trainable_weights)}
    if backbone is not None:
        parameters = {
            "backbone": backbone.count_params(),
            "head": total - backbone.count_params(),
            **parameters,
        }
    return {
        "name": model.name,
        "class": type(model).__name__,
        "input": list(model.inputs[0].shape),
        "output": list(model.outputs[0].shape),
        "layers": len(model.layers),
        "parameters": parameters,
        "stages": [] if backbone is None else stages(backbone),
        "classes": list(getattr(model, "classes", None) or ()),
        "palette": [list(colour) for colour in getattr(model, "palette", None) or ()],
    }


def stages(backbone: Any) -> list[dict[str, Any]]:
    """Name, output stride, channels, and the size on a 512x512 picture of each stage, shallow first."""
    small, large = (backbone.compute_output_shape((1, side, side, 3)) for side in (512, 1024))
    return [
        {
            "name": name,
            # By how much the map grows with the picture: right also where the net pads the picture.
            "stride": round(512 / (large[name][1] - small[name][1])),
            "channels": small[name][3],
            "at_512x512": list(small[name][1:3]),
        }
        for name in backbone.stages
    ]


def text(description: dict[str, Any]) -> str:
    """The description for a reader."""
    lines = [
        f"{description['name']} ({description['class']}, {description['layers']} layers)",
        f"input {_by(description['input'])}, RGB 0-255; output {_by(description['output'])}, logits",
        "",
        "parameters",
        *(f"  {part:<10}{count:>13,}" for part, count in description["parameters"].items()),
    ]
    if description["stages"]:
        lines += ["", "stages      stride  channels  of a 512x512 picture"]
        for stage in description["stages"]:
            size = _by(stage["at_512x512"])
            lines.append(f"  {stage['name']:<10}{stage['stride']:>6}{stage['channels']:>10}  {size}")
    if description["classes"]:
        lines += ["", "classes"]
        lines += [f"  {number:>3} {name}" for number, name in enumerate(description["classes"])]
    return "\n".join(lines)


def _by(shape: list[int | None]) -> str:
    """``?x?x?x3``: a shape for a reader; a question mark where any size will do."""
    return "x".join("?" if size is None else str(size) for size in shape)
