"""Describe a network of the catalog or a model file: parameters, stages, classes.

kseg info fcn8s_efficientnetlite0
kseg info runs/camvid/best.keras --json
kseg info runs/stage2/best.keras --activations photo.jpg --out images
"""

import argparse
import json
from math import isinf, prod
from pathlib import Path
from typing import Any

from kseg.cli.options.arguments import add_max_pixels, positive
from kseg.cli.options.given import refuse
from kseg.cli.verbs.evaluate import write_image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="the name of a network (see kseg models), a .keras file, or a preset"
    )
    parser.add_argument(
        "--classes",
        type=positive,
        default=21,
        metavar="N",
        help="number of classes of a named network (default: 21)",
    )
    parser.add_argument("--layers", action="store_true", help="also print every layer")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--activations", metavar="IMAGE", help="draw the decoder's activations for this image"
    )
    parser.add_argument("--out", metavar="DIR", help="folder for the drawings (default: the current one)")
    add_max_pixels(parser)


def run(args: argparse.Namespace) -> int:
    from kseg.models import build, load_trained, names, presets

    if not args.activations:
        refuse(args, "it is of --activations", "out", "max_pixels")
    if args.model not in names():
        refuse(args, "a model file has its own classes", "classes")
    if args.json:
        refuse(args, "--json has them anyway", "layers")
    if args.model in names():
        model = build(args.model, args.classes, weights=None)
    elif args.model.endswith(".keras") or args.model in presets() or Path(args.model).exists():
        model = load_trained(args.model)
    else:
        model = build(args.model, args.classes)  # raises, and suggests a close name
    description = describe(model)
    if args.activations:
        path = draw_activations(model, Path(args.activations), Path(args.out or "."), args.max_pixels)
        description["activations"] = str(path)
    if args.json:
        print(json.dumps(description, indent=2))
        return 0
    if args.layers:
        model.summary(line_length=110, print_fn=print)
    print(text(description))
    return 0


def draw_activations(model: Any, image: Path, folder: Path, max_pixels: int) -> Path:
    """``NAME_activations.png``: maps of the decoder, from the deepest to the logits."""
    from kseg.data import read_image
    from kseg.inference import activation_sheet

    drawn = activation_sheet(model, read_image(image, max_pixels))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image.stem}_activations.png"
    write_image(path, drawn)
    return path


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
        "receptive_field": fields(model, {"output": model.outputs[0]}).get("output"),
        "stages": [] if backbone is None else stages(backbone),
        "classes": list(getattr(model, "classes", None) or ()),
        "palette": [list(colour) for colour in getattr(model, "palette", None) or ()],
    }


def stages(backbone: Any) -> list[dict[str, Any]]:
    """Name, output stride, receptive field, channels, and the size on a 512x512 image of each stage."""
    reach = fields(backbone, backbone.stages)
    channels = backbone.input_shape[-1]
    small, large = (backbone.compute_output_shape((1, side, side, channels)) for side in (512, 1024))
    found = []
    for name in backbone.stages:
        # By how much the map grows with the image: right also where the network pads the image. A network that
        # upsamples its image first may have a stride that is not a whole number.
        stride = 512 / (large[name][1] - small[name][1])
        found.append(
            {
                "name": name,
                "stride": round(stride) if stride == round(stride) else round(stride, 2),
                "receptive_field": reach.get(name),
                "channels": small[name][3],
                "at_512x512": list(small[name][1:3]),
            }
        )
    return found


def fields(model: Any, tensors: dict[str, Any]) -> dict[str, list[int] | str | None]:
    """The receptive field of each tensor: [height, width], or "whole image"; none where it is not known."""
    from kseg.errors import ModelError
    from kseg.models.structure.receptive_field import receptive_fields

    try:
        found = receptive_fields(model, tensors)
    except ModelError:  # a layer of the user's own
        return {}
    return {
        name: "whole image" if isinf(max(field.size)) else [round(side) for side in field.size]
        for name, field in found.items()
    }


def text(description: dict[str, Any]) -> str:
    """The description for a reader."""
    lines = [
        f"{description['name']} ({description['class']}, {description['layers']} layers)",
        f"input {_by(description['input'])}, RGB 0-255; output {_by(description['output'])}, logits",
        f"receptive field of an output pixel: {_field(description['receptive_field'])}",
        "",
        "parameters",
        *(f"  {part:<10}{count:>13,}" for part, count in description["parameters"].items()),
    ]
    if description["stages"]:
        lines += ["", "stages      stride  receptive field  channels  of a 512x512 image"]
        for stage in description["stages"]:
            size = _by(stage["at_512x512"])
            reach = _field(stage["receptive_field"])
            lines.append(
                f"  {stage['name']:<10}{stage['stride']:>6}{reach:>17}{stage['channels']:>10}  {size}"
            )
    if description["classes"]:
        lines += ["", "classes"]
        lines += [f"  {number:>3} {name}" for number, name in enumerate(description["classes"])]
    if "activations" in description:
        lines += ["", f"activations drawn to {description['activations']}"]
    return "\n".join(lines)


def _field(size: list[int] | str | None) -> str:
    """A receptive field for a reader."""
    return size if isinstance(size, str) else "not known" if size is None else _by(size)


def _by(shape: list[int | None]) -> str:
    """``?x?x?x3``: a shape for a reader; a question mark where any size will do."""
    return "x".join("?" if size is None else str(size) for size in shape)
