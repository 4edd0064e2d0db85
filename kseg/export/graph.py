"""What every exporter starts from: a float32 model, its size, a TensorFlow function with named ends."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kseg.errors import ModelError, SettingsError

Size = tuple[int, int]
HALF = {"float16", "bfloat16", "mixed_float16", "mixed_bfloat16"}


def image_shape(model: keras.Model) -> tuple[int | None, int | None, int]:
    """(height, width, channels) of the model's one image-shaped input; None where any size will do.

    Raises:
        ModelError: not one input (batch, height, width, channels) and one output of rank 4.
    """
    if not isinstance(model, keras.Model):
        raise ModelError(f"A Keras model is expected to export, got {type(model).__name__}")
    if not (model.built and getattr(model, "inputs", None)):
        raise ModelError(f"The model {model.name!r} has no known input and output: export a functional model")
    inputs, outputs = [tuple(t.shape) for t in model.inputs], [tuple(t.shape) for t in model.outputs]
    one = len(inputs) == len(outputs) == 1 and len(inputs[0]) == len(outputs[0]) == 4
    if not one or inputs[0][-1] is None or outputs[0][-1] is None:
        raise ModelError(
            f"The model {model.name!r} takes {inputs} and gives {outputs}; an export needs one input (batch, "
            "height, width, channels) and one output (batch, height, width, classes)"
        )
    return inputs[0][1:]


def chosen_size(model: keras.Model, size: Size | None) -> Size | None:
    """The (height, width) to export: what was asked for, else what the model takes or works at, else None.

    Raises:
        SettingsError: a size that is not two positive integers, or not the one that the model is fixed to.
    """
    height, width, _ = image_shape(model)
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
            f"Either a fixed size or free ones: `dynamic` (--dynamic) came with size {tuple(size)}"
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


def logits_of(model: keras.Model, call: Callable[..., Any] | None = None) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from images of any number type to the model's float32 logits, by ``call`` in place of the model's."""
    dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
    given = getattr(model, "input", None)

    def logits(image: tf.Tensor) -> tf.Tensor:
        image = tf.cast(image, dtype)
        image = dict.fromkeys(given, image) if isinstance(given, dict) else image
        outputs = (call or model)(image, training=False)
        (output,) = keras.tree.flatten(outputs)  # perhaps a dict or a list of one
        return tf.cast(output, tf.float32)

    return logits


def class_ids_of(logits: tf.Tensor) -> tf.Tensor:
    """uint8 (batch, height, width): the class of the highest logit, the first of equals."""
    return tf.cast(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.uint8)


def check_class_ids(model: keras.Model) -> None:
    """Raise ModelError where class ids would not fit 8 bits, or would be 0 everywhere."""
    if (classes := model.outputs[0].shape[-1]) > 256:
        raise ModelError(
            f"The model {model.name!r} has {classes} classes; class ids of 8 bits hold 256: export logits"
        )
    if classes < 2:
        raise ModelError(
            f"The model {model.name!r} gives one channel, and its highest is class 0 everywhere; a mask needs one "
            "channel a class (background and object): export logits to TFLite or ONNX, and compare them yourself"
        )


def traced(model: keras.Model, function: Callable, spec: tf.TensorSpec, *more: tf.TensorSpec) -> Any:
    """The function of images (and more tensors) as a graph; ModelError where a layer of the model cannot be one."""
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


class Module(tf.Module):
    """Holds a model's variables for saving, without Keras's own bookkeeping in the file."""

    def __init__(self, model: keras.Model, **signatures: Any):
        super().__init__(name="kseg")
        self.held = [variable.value for variable in model.variables]
        self.functions = {name: traced(model, *signature) for name, signature in signatures.items()}

    def save(self, folder: Path) -> None:
        tf.saved_model.save(self, str(folder), signatures=self.functions)


@contextmanager
def temporary_saved_model(model: keras.Model, function: Callable, spec: tf.TensorSpec) -> Iterator[Path]:
    """A SavedModel of one signature, `serving_default`, which both converters read; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="kseg-export-"))
    try:
        Module(model, serving_default=(function, spec)).save(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
