"""Batch normalisation that would see a single value a channel in training: found before the first step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import keras

from kseg.errors import SettingsError
from kseg.inference.model_info import inspect_model
from kseg.parts import tensorflow as tf


def single_value_layers(model: keras.Model, size: tuple[int, int]) -> list[keras.layers.Layer]:
    """The batch normalisation of a model that a training batch of one image leaves a single value a channel.

    Such are the image level of PSPNet and DeepLabV3+, and every layer on a map of 1 x 1 cell. The moving variance of
    such a layer goes to 0, and what it gives at inference has nothing to do with what was trained.

    Args:
        model: a built Keras model of images; its layers are looked at in training mode, nothing is computed.
        size: (height, width) of the image.

    Returns:
        The layers that are trainable; layers inside of other layers too.
    """
    found: list[keras.layers.Layer] = []
    layers = [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(_recorded(layer, found))
        image = tf.TensorSpec((1, *size, inspect_model(model).channels), tf.float32)
        tf.function(lambda batch: model(batch, training=True)).get_concrete_function(image)
    return found


@contextmanager
def single_value_errors() -> Iterator[None]:
    """Within it, what `kseg.layers.BatchNormalization` says of a single value comes as a SettingsError of one sentence.

    TensorFlow and Keras wrap it in their own words where it comes up in a training step.
    """
    try:
        yield
    except (tf.errors.InvalidArgumentError, SettingsError) as error:
        found = re.search(r"The batch normalisation of .*?stored statistics\.", str(error), re.DOTALL)
        if found is None:
            raise
        raise SettingsError(" ".join(found[0].split())) from None


@contextmanager
def _recorded(layer: keras.layers.Layer, found: list[keras.layers.Layer]) -> Iterator[None]:
    def call(layer, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        channels = inputs.shape[layer.axis]
        if inputs.shape.num_elements() == channels and layer not in found:
            found.append(layer)
        return tf.cast(inputs, layer.compute_dtype)

    layer.call = partial(call, layer)
    try:
        yield
    finally:
        del layer.call
