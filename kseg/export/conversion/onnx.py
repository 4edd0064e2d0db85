"""ONNX files through tf2onnx, run in onnxruntime and compared before they are called done."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kseg.errors import ModelError, SettingsError
from kseg.export.conversion.dilation import for_converters
from kseg.export.conversion.large_weights import LargeWeights
from kseg.export.graph import (
    Size,
    check_class_ids,
    class_ids_of,
    in_float32,
    inspected,
    output_of,
    plainly,
    served_size,
    traced,
)
from kseg.export.images import images_to_compare
from kseg.export.metadata import describe
from kseg.export.parity import Parity, compare, refuse_different
from kseg.export.runtimes.onnx_runtime import ONNX
from kseg.inference.model_info import ModelInfo
from kseg.io.atomic import put_in_place, temporary_path, write_errors
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


OPSET = 17
INPUT = "image"


def onnx(
    model: keras.Model,
    path: str | Path,
    *,
    size: Size | None = None,
    dynamic: bool = False,
    class_ids: bool = False,
    opset: int = OPSET,
    images: Any = None,
    verify: bool = True,
    min_agreement: float | None = None,
    output: str | None = None,
    accept: Callable[[Path], bool] | None = None,
) -> Parity | None:
    """Write a Keras model as an ONNX file: input `image`, output `logits` (or `class_ids`), NHWC as in Keras.

    The file is written beside its place, run in onnxruntime, compared with the Keras model on images, and
    only then renamed. Classes, palette and input range lie in the file's metadata
    (`kseg.export.read_metadata`).

    Args:
        model: any Keras model with one image-shaped input and one output (batch, height, width, classes).
            Layers in half precision are rebuilt in float32.
        path: the file.
        size: fixed (height, width); None takes the model's `working_size`, or leaves them free where the model has
            none. The batch is always free.
        dynamic: leave height and width free also where the model has a `working_size`.
        class_ids: the output is uint8 class ids (batch, height, width) instead of float32 logits.
        opset: ONNX operator set, 13 to 18.
        images: images for the comparison: a data set or an iterable of `(height, width, channels)`, 0-255;
            None: random ones.
        verify: False writes the file without running it, where onnxruntime is not installed.
        min_agreement: see `kseg.export.tflite`.
        output: see `kseg.export.tflite`.
        accept: see `kseg.export.tflite`.

    Returns:
        `Parity`, or None with `verify=False`.

    Raises:
        ModelError: a network that cannot be converted, or logits that differ by more than 1e-3 of their
            scale.
        SettingsError: a name without .onnx, an opset out of range, or onnxruntime is not installed.

    Example:
    ```python
    model = kseg.models.from_preset("people")
    kseg.export.onnx(model, "people.onnx", size=(256, 256))
    logits = kseg.export.load("people.onnx")(images)
    ```
    """
    import onnx as library

    path, size, info = Path(path), served_size(model, size, dynamic), inspected(model, output)
    if path.suffix != ".onnx":
        raise SettingsError(f"{path}: the name of an ONNX file ends in .onnx")
    if path.is_dir():
        raise SettingsError(f"{path}: a folder has this name; choose another for the file")
    if not 13 <= opset <= 18:
        raise SettingsError(f"`opset` is 13 to 18 (what tf2onnx writes), got {opset}")
    class_ids = class_ids or info.output == "labels"
    if class_ids:
        check_class_ids(info)
    model, name = in_float32(model), "class_ids" if class_ids else info.output
    converted = _converted(model, info, size, name, opset)
    description = describe(model, info=info, file_format="onnx", size=size, precision="float32", output=name)
    converted.metadata_props.add(key="kseg", value=json.dumps(description))
    library.checker.check_model(converted)
    parity = None
    with temporary_path(path) as part:
        with write_errors(path):
            library.save(converted, str(part))
        if verify:
            batches = images_to_compare(images, size, info.channels, info.value_range)
            parity = compare(model, ONNX(part), batches, info)
            refuse_different(parity, path, "float32", min_agreement)
        if accept is None or accept(part):
            put_in_place(part, path)
    return parity


def _converted(model: keras.Model, info: ModelInfo, size: Size | None, output: str, opset: int) -> Any:
    """The ONNX model with named input and output."""
    import tf2onnx

    model = for_converters(model)
    plain, large = output_of(model), LargeWeights(model)

    def function(image: tf.Tensor, *weights: tf.Tensor) -> tf.Tensor:
        y = large.logits(image, weights) if weights else plain(image)
        return class_ids_of(info, y) if output == "class_ids" else y

    spec = tf.TensorSpec((None, *(size or (None, None)), info.channels), tf.float32, name=INPUT)
    specs = [spec, *large.specs]
    graph = traced(model, function, *specs)
    try:
        with _collecting_garbage():
            converted, _ = tf2onnx.convert.from_function(graph, input_signature=specs, opset=opset)
    except Exception as error:  # tf2onnx raises many kinds
        raise ModelError(f"tf2onnx cannot convert the model {model.name!r}: {plainly(error)}") from error
    large.put_back(converted.graph)
    _rename(converted.graph, converted.graph.output[0].name, output)
    _rename(converted.graph, converted.graph.input[0].name, INPUT)
    _raise_scales(converted.graph)
    if foreign := sorted(
        {node.op_type for node in converted.graph.node if node.domain not in ("", "ai.onnx")}
    ):
        raise ModelError(f"The ONNX file would hold operations outside of the standard: {', '.join(foreign)}")
    return converted


@contextmanager
def _collecting_garbage(every: float = 0.2) -> Iterator[None]:
    """Free what tf2onnx drops at once: it copies the graph, weights and all, before each of its 24 optimisations.

    The copies refer to themselves, and Python seldom looks for such: without this, a conversion took 45 times
    the memory of the weights, with it 17 times (and those of 32 MB go round it, see `LargeWeights`). What was
    there before is not looked through.
    """
    done = threading.Event()

    def collect() -> None:
        while not done.wait(every):
            gc.collect()

    gc.collect()
    gc.freeze()
    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        gc.unfreeze()
        gc.collect()


def _rename(graph: Any, old: str, new: str) -> None:
    """Rename one tensor of a graph wherever it occurs (tf2onnx calls a function's result `Identity:0`)."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                names[place] = new if name == old else name


def _raise_scales(graph: Any) -> None:
    """Make every fixed upsampling reach its size.

    tf2onnx writes bilinear resizing between known sizes as float32 scales, and a runtime takes the whole part
    of length times scale: 6 times 2.8333333 is 16, not 17. The next larger float32 gives 17 and moves no
    sample by more than a millionth of a pixel's place.
    """
    from onnx import numpy_helper

    fixed, stale = {tensor.name: tensor for tensor in graph.initializer}, set()
    for node in graph.node:
        linear = any(a.name == "mode" and a.s == b"linear" for a in node.attribute)
        scales = fixed.get(node.input[2]) if node.op_type == "Resize" and len(node.input) == 3 else None
        if not linear or scales is None:
            continue
        values = numpy_helper.to_array(scales)
        raised = np.where(values == np.round(values), values, np.nextafter(values, np.float32(np.inf)))
        name = f"{node.name}_scales"
        graph.initializer.append(numpy_helper.from_array(raised.astype(np.float32), name))
        stale, node.input[2] = stale | {node.input[2]}, name
    used = {name for node in graph.node for name in node.input}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name in stale - used:
            del graph.initializer[place]
