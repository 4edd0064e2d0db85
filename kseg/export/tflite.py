"""TFLite files of builtin operations only, loaded again and compared before they are called done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kseg.errors import ModelError, SettingsError
from kseg.export.dilation import for_converters
from kseg.export.graph import (
    Size,
    check_class_ids,
    chosen_size,
    class_ids_of,
    image_shape,
    in_float32,
    logits_of,
    plainly,
    temporary_saved_model,
)
from kseg.export.images import as_batches, made_up
from kseg.export.metadata import describe, pack
from kseg.export.parity import Parity, compare
from kseg.export.runtime import TFLite, tflite_operations
from kseg.io.atomic import put_in_place, temporary_path, told

PRECISIONS = ("float32", "float16", "dynamic", "int8")


def tflite(
    model: keras.Model,
    path: str | Path,
    *,
    size: Size | None = None,
    precision: str = "float32",
    calibration: Any = None,
    dynamic: bool = False,
    class_ids: bool = False,
    images: Any = None,
    min_agreement: float | None = None,
) -> Parity:
    """Write a Keras model as a .tflite file that every LiteRT interpreter runs.

    The file is loaded again in LiteRT and compared with the Keras model on pictures before it gets its name.
    ``labels.txt`` and ``kseg.json`` (classes, palette, input range) are packed into it (`read_metadata`).

    Args:
        model: any Keras model with one image-shaped input and one output (batch, height, width, classes).
        path: the file.
        size: (height, width) of the fixed input; may be left out where the model has one itself, or with ``dynamic``.
        precision: "float32"; "float16" (weights of half the size); "dynamic" (int8 weights, float maps); "int8"
            (everything in int8; the input is uint8 0-255, needs ``calibration``).
        calibration: about 100 pictures (H, W, channels) 0-255, or a data set; see `calibration_images`.
        dynamic: leave height and width free; the app sets them with ``resize_tensor_input``.
        class_ids: the output is uint8 class ids (1, height, width) instead of float32 logits.
        images: pictures for the comparison, like ``calibration``; made up where there are none.
        min_agreement: refuse the file when a smaller fraction of pixels agrees with Keras.

    Returns:
        `Parity`: agreement and largest difference.

    Raises:
        ModelError: operations that are not builtin or come in SpaceToBatch sandwiches, a float32 file that differs
            by more than 1e-3 of the logits' scale, or too little agreement.
        SettingsError: a missing size, an unknown precision, or int8 without calibration.
    """
    path, size = Path(path), chosen_size(model, size)
    _check(path, precision, calibration, sized=dynamic or size is not None)
    if class_ids:
        check_class_ids(model)
    model, size = in_float32(model), size or (128, 160)
    asked = _Asked(None if dynamic else size, precision, "class_ids" if class_ids else "logits")
    samples = as_batches(calibration, size, image_shape(model)[2], 500) if precision == "int8" else None
    data = _converted(model, asked, samples)
    with temporary_path(path) as part:
        with told(path):
            part.write_bytes(data)
        parity = _verified(model, part, path, asked, _probes(model, size, images, dynamic), min_agreement)
        put_in_place(part, path)
    return parity


@dataclass(frozen=True)
class _Asked:
    """What kind of file: its fixed (height, width) or None, its precision, "logits" or "class_ids"."""

    size: Size | None
    precision: str
    output: str


def _check(path: Path, precision: str, calibration: Any, *, sized: bool) -> None:
    if path.suffix != ".tflite":
        raise SettingsError(f"{path}: the name of a TFLite file ends in .tflite")
    if path.is_dir():
        raise SettingsError(f"{path}: a folder has this name; choose another for the file")
    if precision not in PRECISIONS:
        raise SettingsError(f"`precision` is one of {', '.join(PRECISIONS)}; got {precision!r}")
    if not sized:
        raise SettingsError(
            "A TFLite file has a fixed size: give one (size=(height, width), --size H W), or leave height and width "
            "free (dynamic=True, --dynamic)"
        )
    if precision == "int8" and calibration is None:
        raise SettingsError(
            "int8 needs calibration pictures: calibration=kseg.export.calibration_images(dataset, size)"
        )


def _converted(model: keras.Model, asked: _Asked, samples: list[np.ndarray] | None) -> bytes:
    """The flatbuffer; ModelError where the network has operations that TFLite lacks."""
    model = for_converters(model)
    logits = logits_of(model)

    def function(image: tf.Tensor) -> dict[str, tf.Tensor]:
        y = logits(image)
        return {asked.output: class_ids_of(y) if asked.output == "class_ids" else y}

    shape = (1, *(asked.size or (None, None)), image_shape(model)[2])
    spec = tf.TensorSpec(shape, tf.float32, name="image")
    with temporary_saved_model(model, function, spec) as folder:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        _set_precision(converter, asked.precision, samples)
        try:
            return converter.convert()
        except Exception as error:  # the converter's own kind, and whatever its C++ part raises
            raise ModelError(_reason(model.name, error)) from error


def _probes(model: keras.Model, size: Size, images: Any, dynamic: bool) -> list[np.ndarray]:
    """The pictures to compare on; with free sizes also one of another, odd size."""
    channels = image_shape(model)[2]
    batches = made_up([size], channels) if images is None else as_batches(images, size, channels, 16)
    return batches + (made_up([(size[0] + 17, size[1] + 6)], channels, seed=1) if dynamic else [])


def _verified(
    model: keras.Model,
    part: Path,
    path: Path,
    asked: _Asked,
    batches: list[np.ndarray],
    min_agreement: float | None,
) -> Parity:
    """Complete the file with its metadata, load it and compare; ModelError where it must not be used."""
    refuse_foreign(tflite_operations(part))
    pack(
        part,
        describe(
            model,
            file_format="tflite",
            size=asked.size,
            precision=asked.precision,
            output=asked.output,
        ),
    )
    parity = compare(model, TFLite(part), batches)
    refuse_different(parity, path, exact=asked.precision == "float32", min_agreement=min_agreement)
    return parity


def _set_precision(converter: Any, precision: str, samples: list[np.ndarray] | None) -> None:
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.representative_dataset = lambda: _ranged(samples)
        converter.inference_input_type = tf.uint8


def _ranged(samples: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The pictures, each with a 0 and a 255 in it, so that the input's scale is exactly 1."""
    for sample in samples:
        sample = sample.copy()
        sample[0, 0, 0, 0], sample[0, -1, -1, -1] = 0, 255
        yield [sample]


def _reason(name: str, error: Exception) -> str:
    foreign = sorted(set(re.findall(r"\b(?:Flex|tf\.)([A-Z]\w+)", str(error))))
    if foreign:
        return (
            f"The model {name!r} has operations that TFLite's builtins lack: {', '.join(foreign)}. Replace "
            "their layers, for instance by those of kseg.layers"
        )
    return f"TensorFlow's converter refuses the model {name!r}: {plainly(error)}"


def refuse_foreign(operations: Counter[str]) -> None:
    """Raise ModelError for operations outside of the builtins, or dilation written as SpaceToBatch."""
    if offenders := outside_builtins(operations):
        raise ModelError(
            "The TFLite file would hold operations that phones and browsers do not run well: "
            + ", ".join(f"{count} x {name}" for name, count in offenders.items())
            + ". For dilated convolutions use kseg.layers.AtrousConv2D"
        )


def outside_builtins(operations: Counter[str]) -> dict[str, int]:
    """Custom and Flex operations, and SpaceToBatch / BatchToSpace, by count."""
    bad = ("CUSTOM", "Flex", "SPACE_TO_BATCH", "BATCH_TO_SPACE")
    return {name: count for name, count in sorted(operations.items()) if name.startswith(bad)}


def refuse_different(parity: Parity, path: Path, *, exact: bool, min_agreement: float | None) -> None:
    """Raise ModelError where an exported model is another network than the Keras model."""
    if exact and not parity.equal:
        raise ModelError(
            f"{path} was not written: its logits differ from Keras by up to {parity.largest_difference:.3g} "
            f"(the largest logit is {parity.largest_logit:.3g}) on {parity.images} pictures"
        )
    if min_agreement is not None and parity.agreement < min_agreement:
        raise ModelError(
            f"{path} was not written: only {parity.agreement:.2%} of the pixels agree with Keras, "
            f"{min_agreement:.2%} were asked for"
        )
