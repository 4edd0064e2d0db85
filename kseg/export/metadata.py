"""What travels with an exported file: class names, palette, input range; written and packed into the file itself."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from kseg.export.formats.description import LABELS, SIDE_FILE
from kseg.export.graph import Size
from kseg.export.task_metadata import with_task_metadata
from kseg.inference.model_info import ModelInfo, inspect_model
from kseg.io.bands import BYTES
from kseg.io.colour_map import default_palette
from kseg.version import __version__


def describe(
    model: keras.Model,
    *,
    info: ModelInfo | None = None,
    file_format: str,
    size: Size | None,
    precision: str,
    output: str,
) -> dict[str, Any]:
    """The side file's content, as JSON has it.

    Args:
        info: what the model's output is; None: `inspect_model(model)`.
        file_format: "tflite", "onnx" or "saved_model".
        size: fixed (height, width), or None where any goes in.
        precision: of the weights: "float32", "float16", "dynamic", "int8".
        output: "logits", "probabilities", "class_ids" or "mask". Whoever runs the file takes a softmax of logits only.
    """
    info = inspect_model(model) if info is None else info
    count = info.num_classes
    one_channel = info.output_channels == 1 and info.output != "labels" and not info.multilabel
    unnamed = ["background", "object"] if one_channel else None
    classes = getattr(model, "classes", None) or unnamed or [f"class {number}" for number in range(count)]
    palette = getattr(model, "palette", None) or default_palette(count)
    return {
        "name": model.name,
        "format": file_format,
        "precision": precision,
        "classes": list(classes),
        "palette": [list(colour) for colour in palette],
        "ignore_label": 255,
        "input": {
            "size": None if size is None else list(size),
            "range": [0, 255] if info.value_range == BYTES else list(info.value_range),
            "channels": "RGB" if info.channels == 3 else info.channels,
            "layout": "NHWC",
        },
        "output": output,
        **({"multilabel": True} if info.multilabel else {}),
        "kseg": __version__,
    }


def labels_text(description: dict[str, Any]) -> str:
    """`labels.txt`: one class name a line, in the order of the class ids."""
    return "".join(" ".join(str(name).split()) + "\n" for name in description["classes"])


def pack(path: Path, description: dict[str, Any]) -> None:
    """Put TFLite Metadata into a TFLite file, and append `labels.txt` and `kseg.json` as a zip archive.

    The model lies at the front of the file and the archive at its end, so that interpreters and unzip both
    read it; uncompressed, because MediaPipe reads nothing else. The convention of TFLite Metadata
    (tensorflow.org/lite/models/convert/metadata).
    """
    data = path.read_bytes()
    if data[4:8] == b"TFL3":
        path.write_bytes(with_task_metadata(data, description, LABELS))
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(LABELS, labels_text(description))
        archive.writestr(SIDE_FILE, json.dumps(description, indent=2) + "\n")
