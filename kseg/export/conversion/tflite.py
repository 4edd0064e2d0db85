"""TFLite files of builtin operations only, loaded again and compared before they are called done."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kseg.errors import ModelError, SettingsError
from kseg.export.accuracy import Lost
from kseg.export.conversion.dilation import for_converters
from kseg.export.conversion.int8_budget import layer_names, within_budget
from kseg.export.conversion.int8_graph import cheaper, quantized
from kseg.export.conversion.rounding import rounded
from kseg.export.graph import (
    Size,
    check_class_ids,
    chosen_size,
    class_ids_of,
    in_float32,
    inspected,
    output_of,
    plainly,
    temporary_saved_model,
)
from kseg.export.images import as_batches, images_to_compare, labelled_data, random_images
from kseg.export.metadata import describe, pack
from kseg.export.parity import Parity, compare, refuse_different
from kseg.export.runtimes.litert import TFLite, tflite_operations
from kseg.inference.model_info import ModelInfo
from kseg.io.atomic import put_in_place, temporary_path, write_errors
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


PRECISIONS = ("float32", "float16", "dynamic", "int8")


def tflite(
    model: keras.Model,
    path: str | Path,
    *,
    size: Size | None = None,
    precision: str = "float32",
    calibration: Any = None,
    int8_budget: float | None = None,
    dynamic: bool = False,
    class_ids: bool = False,
    images: Any = None,
    min_agreement: float | None = None,
    output: str | None = None,
    accept: Callable[[Path], bool] | None = None,
) -> Parity:
    """Write a Keras model as a .tflite file that every LiteRT interpreter runs.

    The file is loaded again in LiteRT and compared with the Keras model on images before it gets its name.
    `labels.txt` and `kseg.json` (classes, palette, input range) are packed into it (`read_metadata`).

    Args:
        model: any Keras model with one image-shaped input and one output (batch, height, width, classes).
        path: the file.
        size: (height, width) of the fixed input; may be left out where the model has one itself, or with `dynamic`.
        precision: "float32"; "float16" (weights of half the size); "dynamic" (int8 weights, float maps); "int8"
            (everything in int8; the input is uint8 0-255, needs `calibration`).
        calibration: about 100 images (H, W, channels) 0-255, or a data set; see `calibration_images`. They give each
            map its range, and on 32 of them weights are rounded up or down so that their errors cancel.
        int8_budget: what int8 may lose, 0-1: mean IoU where `images` (or else `calibration`) have labels, otherwise
            the fraction of pixels that gets another class than in Keras. Where int8 loses more, the layers that it
            hurts most stay in float32, as few as will do; the result's `int8` and the file's metadata name them.
            None: every layer in int8, whatever it loses.
        dynamic: leave height and width free; the app sets them with `resize_tensor_input`.
        class_ids: the output is uint8 class ids (1, height, width) instead of float32 logits.
        images: images for the comparison, like `calibration`; where there are none, some of `calibration`, else
            random ones. At most 100 of them are looked at for `int8_budget`.
        min_agreement: refuse the file when a smaller fraction of pixels gets the class that Keras gives them. None:
            0.99 for float32, 0.98 for float16, 0.95 for dynamic, 0.9 for int8; 0 accepts any.
        output: what the model's output is, "logits", "probabilities" or "labels"; None: what its graph says. It is
            written into the file's metadata.
        accept: asked about the finished file before it gets its name (`kseg.export.check`, say); False throws it away.

    Returns:
        `Parity`: agreement and largest difference.

    Raises:
        ModelError: operations that are not builtin or come in SpaceToBatch sandwiches, a float32 file that differs
            by more than 1e-3 of the logits' scale, too little agreement, or a budget that int8 cannot hold
            (`kseg.export.conversion.int8_budget.BudgetError`).
        SettingsError: a missing size, an unknown precision, int8 without calibration, or a budget without int8.

    Example:
    ```python
    model = kseg.models.from_preset("people")
    kseg.export.tflite(model, "people.tflite", size=(256, 256), precision="float16")
    images = kseg.export.calibration_images((x_train, y_train), (256, 256))
    kseg.export.tflite(model, "people_int8.tflite", size=(256, 256), precision="int8", calibration=images)
    ```
    """
    path, size, info = Path(path), chosen_size(model, size), inspected(model, output)
    _check(path, precision, calibration, int8_budget, sized=dynamic or size is not None)
    class_ids = class_ids or info.output == "labels"
    if class_ids:
        check_class_ids(info)
    model, size = in_float32(model), size or (128, 160)
    images = list(images) if isinstance(images, Iterator) else images  # looked at more than once
    asked = _Asked(None if dynamic else size, precision, "class_ids" if class_ids else info.output)
    values = info.channels, 500, info.value_range
    samples = as_batches(calibration, size, *values) if precision == "int8" else None
    data = _converted(model, info, asked, samples)
    batches = images_to_compare(samples if images is None else images, size, info.channels, info.value_range)
    if dynamic:  # also one of another, odd size
        batches += random_images([(size[0] + 17, size[1] + 6)], info.channels, 1, info.value_range)
    described = {"file_format": "tflite", "precision": precision, "size": asked.size, "output": asked.output}
    int8 = None
    with temporary_path(path) as part:
        if int8_budget is not None:
            lost = Lost(model, info, _judged(images, calibration, samples, info), size, part)
            data, int8 = within_budget(
                cheaper(data), samples, lost, int8_budget, lost.measure, layer_names(model)
            )
        elif precision == "int8":
            calibrated = cheaper(data)
            data = quantized(calibrated, weights=rounded(calibrated, samples))
        with write_errors(path):
            part.write_bytes(data)
        refuse_foreign(tflite_operations(part))
        pack(part, describe(model, info=info, **described) | ({"int8": asdict(int8)} if int8 else {}))
        parity = replace(compare(model, TFLite(part), batches, info), int8=int8)
        refuse_different(parity, path, precision, min_agreement)
        if accept is None or accept(part):
            put_in_place(part, path)
    return parity


def _judged(images: Any, calibration: Any, samples: list[np.ndarray], info: ModelInfo) -> Any:
    """On what a budget is judged: the images, else the calibration's where it has labels or can be read again."""
    if images is not None:
        return images
    return samples if labelled_data(calibration, info.num_classes) is None else calibration


@dataclass(frozen=True)
class _Asked:
    """What kind of file: its fixed (height, width) or None, its precision, and what it gives."""

    size: Size | None
    precision: str
    output: str


def _check(path: Path, precision: str, calibration: Any, int8_budget: float | None, *, sized: bool) -> None:
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
            "int8 needs calibration images: calibration=kseg.export.calibration_images(dataset, size)"
        )
    if int8_budget is not None and (precision != "int8" or not 0 <= int8_budget <= 1):
        raise SettingsError(
            f"`int8_budget` is what precision 'int8' may lose, 0-1; got {int8_budget!r} for {precision!r}"
        )


def _converted(model: keras.Model, info: ModelInfo, asked: _Asked, samples: list[np.ndarray] | None) -> bytes:
    """The flatbuffer, or for int8 the one in float32 with the range of each map.

    Raises:
        ModelError: the network has operations that TFLite lacks.
    """
    model = for_converters(model)
    output = output_of(model)

    def function(image: tf.Tensor) -> dict[str, tf.Tensor]:
        y = output(image)
        return {asked.output: class_ids_of(info, y) if asked.output == "class_ids" else y}

    shape = (1, *(asked.size or (None, None)), info.channels)
    spec = tf.TensorSpec(shape, tf.float32, name="image")
    with temporary_saved_model(model, function, spec) as folder:
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if asked.precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if asked.precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if asked.precision == "int8":
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.representative_dataset = lambda: _ranged(samples, info.value_range)
            converter._experimental_calibrate_only = True  # as tf.lite's QuantizationDebugger does
        try:
            return converter.convert()
        except Exception as error:  # the converter's own kind, and whatever its C++ part raises
            foreign = sorted(set(re.findall(r"\b(?:Flex|tf\.)([A-Z]\w+)", str(error))))
            if foreign:
                raise ModelError(
                    f"The model {model.name!r} has operations that TFLite's builtins lack: {', '.join(foreign)}. "
                    "Replace their layers, for instance by those of kseg.layers"
                ) from error
            raise ModelError(
                f"TensorFlow's converter refuses the model {model.name!r}: {plainly(error)}"
            ) from error


def _ranged(samples: list[np.ndarray], value_range: tuple[float, float]) -> Iterator[list[np.ndarray]]:
    """The images, each with a 0 and a 255 in it, so that the input's scale is exactly 1; or the ends of their range."""
    for sample in samples:
        sample = sample.copy()
        sample[0, 0, 0, 0], sample[0, -1, -1, -1] = value_range
        yield [sample]


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
