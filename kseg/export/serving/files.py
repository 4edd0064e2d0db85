"""The files beside a served model: warm-up requests, and TensorFlow Serving's settings."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from kseg.errors import KsegWarning
from kseg.export.formats.description import LABELS, SIDE_FILE
from kseg.export.images import random_images
from kseg.export.metadata import labels_text
from kseg.inference.model_info import ModelInfo
from kseg.io.atomic import write_text
from kseg.parts import tensorflow as tf

IMAGE = "tensorflow/serving:2.20.0"
BATCH_SIZES = (1, 2, 4, 8)


def _field(number: int, data: bytes | int) -> bytes:
    """One field of a protocol buffer: a length-delimited value, or a number."""
    if isinstance(data, int):
        return _varint(number << 3) + _varint(data)
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def prediction_log(model: str, signature: str, inputs: dict[str, Any]) -> bytes:
    """A serialised PredictionLog with one PredictRequest.

    Written by hand, so that no gRPC package is needed: numbers of the fields from tensorflow_serving/apis
    prediction_log.proto (predict_log = 6), predict.proto (model_spec = 1, inputs = 2) and model.proto (name =
    1, signature_name = 3).

    Args:
        model: name under which the model is served.
        signature: name of the signature.
        inputs: array or list of bytes by input name.
    """
    spec = _field(1, model.encode()) + _field(3, signature.encode())
    request = _field(1, spec)
    for name, value in sorted(inputs.items()):
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def warm_up_requests(
    model: str, size: tuple[int, int], dtype: str, info: ModelInfo, signatures: list[str]
) -> Iterator[bytes]:
    """One PredictionLog a signature and batch size 1, which the server answers before it takes requests."""
    image = random_images([size], info.channels, value_range=info.value_range)[0]
    yield prediction_log(model, "serving_default", {"images": image.astype(dtype)})
    if "encoded" in signatures:
        data = cv2.imencode(".png", image[0].astype(np.uint8)[..., ::-1])[1].tobytes()
        yield prediction_log(model, "encoded", {"image_bytes": [data]})


def write_extra(folder: Path, description: dict[str, Any], requests: list[bytes]) -> None:
    """`assets.extra` of a version: warm-up requests, labels.txt and kseg.json."""
    extra = folder / "assets.extra"
    extra.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for request in requests:
            writer.write(request)
    (extra / LABELS).write_text(labels_text(description), encoding="utf-8")
    (extra / SIDE_FILE).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def write_settings(base: Path, model: str) -> None:
    """Settings of TensorFlow Serving beside the versions, where they are not there yet, or not whole.

    `models.config`, `batching.config`, `monitoring.config` and `compose.yaml` for the official image; a
    server takes only folders with whole numbers as names for versions, so that these files do not disturb it.
    """
    for name, text in _settings(base, model).items():
        path, ours = base / name, text.encode()
        found = path.read_bytes() if path.is_file() else ours
        # What a full disk or a power failure leaves of ours; any other is somebody's own settings.
        broken_off = not found.strip(b"\0 \r\n") or ours.startswith(found.rstrip(b"\0"))
        if not path.exists() or (found != ours and broken_off):
            write_text(path, text)


def tell_broken_versions(base: Path) -> None:
    """A `KsegWarning` for every version in a folder that lacks a file, or has an empty one: no server can load it."""
    for version in sorted(path for path in base.iterdir() if path.name.isdigit() and path.is_dir()):
        files = ["saved_model.pb", "variables/variables.index"]
        broken = [name for name in files if not (version / name).is_file()]
        found = (path for path in version.rglob("*") if path.is_file() and path.name != LABELS)
        broken += [str(path.relative_to(version)) for path in found if not path.stat().st_size]
        if broken:
            warnings.warn(
                f"{version} is not whole (missing or empty: {', '.join(broken)}): export it again with --overwrite",
                KsegWarning,
                stacklevel=3,
            )


def _settings(base: Path, model: str) -> dict[str, str]:
    sizes = "".join(f"allowed_batch_sizes: {size}\n" for size in BATCH_SIZES)
    return {
        "models.config": (
            "model_config_list {\n  config {\n"
            f'    name: "{model}"\n    base_path: "/models/{model}"\n    model_platform: "tensorflow"\n'
            "  }\n}\n"
        ),
        "batching.config": (
            f"max_batch_size {{ value: {BATCH_SIZES[-1]} }}\nbatch_timeout_micros {{ value: 2000 }}\n"
            "max_enqueued_batches { value: 64 }\nnum_batch_threads { value: 2 }\n" + sizes
        ),
        "monitoring.config": 'prometheus_config { enable: true, path: "/monitoring/prometheus/metrics" }\n',
        "compose.yaml": (
            "# docker compose up     REST on 8501, gRPC on 8500\n"
            "services:\n  serving:\n"
            f"    image: {IMAGE}\n"
            '    ports: ["8500:8500", "8501:8501"]\n'
            f'    volumes: [".:/models/{model}:ro"]\n'
            "    command:\n"
            f"      - --model_config_file=/models/{model}/models.config\n"
            "      - --enable_batching=true\n"
            f"      - --batching_parameters_file=/models/{model}/batching.config\n"
            f"      - --monitoring_config_file=/models/{model}/monitoring.config\n"
        ),
    }
