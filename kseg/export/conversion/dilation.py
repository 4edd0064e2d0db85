"""Dilated convolutions as the converters want them: one operation, not a sandwich of SpaceToBatch."""

from __future__ import annotations

from typing import Any

import keras

from kseg.inference.folding import CONVOLUTIONS, DEPTHWISE
from kseg.ops.convolution import atrous_conv2d
from kseg.parts import tensorflow as tf


class _DepthwiseForConverters(keras.layers.DepthwiseConv2D):
    """A dilated depthwise convolution as TensorFlow's operation of one piece, which only converters can read.

    TensorFlow's CPU kernel ignores the operation's dilation, so this layer gives wrong numbers in TensorFlow
    itself. Keras writes SpaceToBatch, convolution and BatchToSpace instead, and with sizes that are known
    only at run time neither LiteRT's converter nor tf2onnx recognises the three.
    """

    def call(self, inputs: Any) -> Any:
        rows, columns = self.dilation_rate
        if self.padding == "same":
            spans = [(k - 1) * r for k, r in zip(self.kernel_size, self.dilation_rate, strict=True)]
            margins = [[0, 0], *([span // 2, span - span // 2] for span in spans), [0, 0]]
            inputs = tf.pad(inputs, margins)
        outputs = tf.raw_ops.DepthwiseConv2dNative(
            input=inputs,
            filter=self.kernel.value,
            strides=[1, 1, 1, 1],
            padding="VALID",
            dilations=[1, rows, columns, 1],
        )
        outputs = outputs + self.bias if self.use_bias else outputs
        return outputs if self.activation is None else self.activation(outputs)


class _ConvForConverters(keras.layers.Conv2D):
    """A dilated convolution as one operation (`kseg.ops.convolution.atrous_conv2d`)."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        return atrous_conv2d(inputs, kernel, self.dilation_rate, self.padding)


def for_converters(model: keras.Model) -> keras.Model:
    """The model itself, or a copy whose plain Keras layers with dilation are one operation each.

    The copy is for LiteRT's converter and tf2onnx to read, not to run. Layers of other classes stay as they
    are, whatever they inherit from.
    """
    if not any(_replacement(layer) for layer in model._flatten_layers()):
        return model

    def swapped(layer: keras.layers.Layer) -> keras.layers.Layer:
        return (_replacement(layer) or type(layer)).from_config(layer.get_config())

    copy = keras.models.clone_model(model, clone_function=swapped, recursive=True)
    copy.set_weights(model.get_weights())
    return copy


def _replacement(layer: keras.layers.Layer) -> type[keras.layers.Layer] | None:
    kinds = dict.fromkeys(DEPTHWISE - {keras.layers.DepthwiseConv1D}, _DepthwiseForConverters)
    kinds |= dict.fromkeys(CONVOLUTIONS, _ConvForConverters)
    kind = kinds.get(type(layer))
    if kind is None or layer.data_format != "channels_last" or getattr(layer, "groups", 1) != 1:
        return None
    return kind if max(layer.dilation_rate) > 1 and max(layer.strides) == 1 else None
