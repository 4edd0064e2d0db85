"""What every exporter starts from: a float32 model, its size, a TensorFlow function with named ends."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from kseg.errors import FileError, ModelError, SettingsError
from kseg.inference.model_info import ModelInfo, inspect_model
from kseg.io.atomic import write_errors
from kseg.parts import tensorflow as tf

if TYPE_CHECKING:
    import tensorflow as tf


Size = tuple[int, int]
HALF = {"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"}


def inspected(model: keras.Model, output: str | None = None) -> ModelInfo:
    """What `kseg.inference.inspect_model` reads from a model, which must have a graph to be exported.

    Raises:
        ModelError: not a functional model with one image in and one map of classes out.
        SettingsError: Keras runs on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise SettingsError(
            f"Files are exported from TensorFlow's graph of the model, and Keras runs on {keras.backend.backend()} "
            'here: save the model (`model.save("model.keras")`), then run '
            "`KERAS_BACKEND=tensorflow kseg export --model model.keras ...`, or the same script with that variable set."
        )
    if isinstance(model, keras.Model) and not (model.built and getattr(model, "inputs", None)):
        raise ModelError(f"The model {model.name!r} has no known input and output: export a functional model")
    return inspect_model(model, output)


def chosen_size(model: keras.Model, size: Size | None) -> Size | None:
    """The (height, width) to export: what was asked for, else what the model takes or works at, else None.

    Raises:
        SettingsError: a size that is not two positive integers, or not the one that the model is fixed to.
    """
    height, width = inspected(model).sides
    if size is None and None not in (height, width):
        return height, width
    size = getattr(model, "working_size", None) if size is None else size
    if size is None and (height, width) != (None, None):
        raise SettingsError(
            f"The model {model.name!r} takes images of {height or 'any'}x{width or 'any'}, and both sides are fixed "
            "or free in an export: give a size (size=(height, width), --size H W)"
        )
    if size is None:
        return None
    try:
        asked = tuple(int(side) for side in size)
    except (TypeError, ValueError):
        asked = ()
    if len(asked) != 2 or min(asked) < 1:
        raise SettingsError(f"`size` is (height, width) in pixels, got {size!r}")
    if any(own not in (None, side) for own, side in zip((height, width), asked, strict=True)):
        raise SettingsError(
            f"The model {model.name!r} takes images of {height}x{width} only, not {asked[0]}x{asked[1]}"
        )
    return asked


def served_size(model: keras.Model, size: Size | None, dynamic: bool) -> Size | None:
    """`chosen_size`, or None where height and width shall stay free whatever the model works at.

    Raises:
        SettingsError: as `chosen_size`, or a size and `dynamic` together.
    """
    if dynamic and size is not None:
        raise SettingsError(
            f"Give either `dynamic` (--dynamic) or a size, not both; got the size {tuple(size)} too"
        )
    return None if dynamic else chosen_size(model, size)


def in_float32(model: keras.Model) -> keras.Model:
    """The model itself, or, where layers compute in half precision, a copy that computes in float32."""
    policies = {layer.dtype_policy.name for layer in model._flatten_layers()}
    if not policies & HALF:
        return model
    config = _widened(keras.saving.serialize_keras_object(model))
    copy = keras.saving.deserialize_keras_object(config)
    copy.set_weights(model.get_weights())
    return copy


def _widened(config: Any) -> Any:
    """A serialised object with every half-precision dtype policy replaced by float32."""
    if isinstance(config, list | tuple):
        return type(config)(_widened(value) for value in config)
    if not isinstance(config, dict):
        return config
    if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in HALF:
        return {**config, "config": {**config["config"], "name": "float32"}}
    half = config.get("dtype") if isinstance(config.get("dtype"), str) else None
    return {key: "float32" if key == "dtype" and half in HALF else _widened(v) for key, v in config.items()}


def output_of(model: keras.Model, call: Callable[..., Any] | None = None) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from images of any number type to the model's float32 output, by `call` in place of the model's."""
    dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
    given = getattr(model, "input", None)

    def output(image: tf.Tensor) -> tf.Tensor:
        image = tf.cast(image, dtype)
        image = dict.fromkeys(given, image) if isinstance(given, dict) else image
        outputs = (call or model)(image, training=False)
        (result,) = keras.tree.flatten(outputs)  # perhaps a dict or a list of one
        return tf.cast(result, tf.float32)

    return output


def class_ids_of(info: ModelInfo, output: tf.Tensor) -> tf.Tensor:
    """uint8 (batch, height, width): the class of the highest score, the first of equals; labels as they are.

    Of classes that overlap, masks (batch, height, width, classes) of 0 and 1.
    """
    if info.output == "labels":
        return tf.cast(output if output.shape.rank == 3 else output[..., 0], tf.uint8)
    if info.multilabel:
        return tf.cast(info.scores(output) > info.even, tf.uint8)
    return tf.cast(tf.argmax(info.scores(output), axis=-1, output_type=tf.int32), tf.uint8)


def check_class_ids(info: ModelInfo) -> None:
    """Raise ModelError where class ids would not fit 8 bits."""
    if info.num_classes > 256:
        raise ModelError(
            f"The model {info.name!r} has {info.num_classes} classes; class ids of 8 bits hold 256: export "
            f"{info.output}"
        )


def traced(model: keras.Model, function: Callable, spec: tf.TensorSpec, *more: tf.TensorSpec) -> Any:
    """The function of images (and more tensors) as a graph.

    Raises:
        ModelError: a layer of the model cannot be one.
    """
    made = tf.function(function, input_signature=[spec, *more], autograph=False)
    try:
        made.get_concrete_function()
    except Exception as error:  # layers raise many kinds
        free = spec.shape.rank == 4 and None in spec.shape.as_list()[1:3]
        hint = "it may with a fixed size (size=(height, width), --size H W)" if free else "replace its layer"
        raise ModelError(
            f"The model {model.name!r} cannot become a graph for images {spec.shape}; {hint}. What it said: "
            f"{plainly(error)}"
        ) from error
    return made


def plainly(error: BaseException) -> str:
    """What a library said, on one line, without codes for a terminal's colours, cut to 300 characters."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:300]


def save(model: keras.Model, folder: Path, **signatures: Any) -> None:
    """Write a model's variables and functions as a SavedModel, without Keras's own bookkeeping in the file."""
    module = tf.Module(name="kseg")
    module.held = [variable.value for variable in model.variables]
    module.functions = {name: traced(model, *signature) for name, signature in signatures.items()}
    with writing(folder):
        folder.mkdir(exist_ok=True)
        tf.saved_model.save(module, str(folder), signatures=module.functions)


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn what the system and TensorFlow raise where `target` cannot be written, as on a full disk, into FileError."""
    with write_errors(target):
        try:
            yield
        except tf.errors.OpError as error:
            raise FileError(
                f"{target}: could not be written ({plainly(error)}); nothing was changed there"
            ) from error


@contextmanager
def temporary_saved_model(model: keras.Model, function: Callable, spec: tf.TensorSpec) -> Iterator[Path]:
    """A SavedModel of one signature, `serving_default`, which both converters read; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kseg-export-"))
    try:
        save(model, folder, serving_default=(function, spec))
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
