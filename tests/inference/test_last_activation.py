"""What a graph ends in, however its author wrote it."""

import keras
import pytest
import tensorflow as tf
from keras import layers, ops

from kseg.inference.last_activation import last_activation

SOFTMAX, SIGMOID, LOGITS, UNKNOWN = ("softmax", None), ("sigmoid", None), (None, None), ("unknown", None)


class Own(layers.Layer):
    def call(self, x):
        return ops.softmax(x)


class OwnInTensorFlow(layers.Layer):
    def call(self, x):
        return tf.nn.softmax(x)


class Coarse(layers.Layer):
    def call(self, x):
        return tf.image.resize(tf.nn.softmax(x), tf.shape(x)[1:3] * 2)


def conv(channels=3, **settings):
    return layers.Conv2D(channels, 1, **settings)


def two(x):
    p = conv(1, activation="sigmoid")(x)
    return layers.Concatenate()([1 - p, p])


def nested(x):
    inner = keras.Input((None, None, 3))
    return layers.Activation("linear")(keras.Model(inner, layers.Softmax()(conv()(inner)))(x))


ENDS = {
    "a convolution": (conv(), LOGITS),
    "linear activation": (lambda x: layers.Activation("linear")(conv()(x)), LOGITS),
    "relu": (conv(activation="relu"), LOGITS),
    "log softmax": (layers.Activation("log_softmax"), LOGITS),
    "batch normalisation": (layers.BatchNormalization(), LOGITS),
    "a sum of scores": (lambda x: conv()(x) + conv()(x) * 2, LOGITS),
    "gated features, then a convolution": (lambda x: conv()(x * ops.sigmoid(x)), LOGITS),
    "a lambda of logits": (layers.Lambda(lambda x: x + 1), LOGITS),
    "softmax activation": (conv(activation="softmax"), SOFTMAX),
    "activation layer": (layers.Activation("softmax"), SOFTMAX),
    "softmax layer": (layers.Softmax(), SOFTMAX),
    "softmax layer as activation": (conv(activation=layers.Softmax()), SOFTMAX),
    "keras.ops": (ops.softmax, SOFTMAX),
    "TensorFlow's function as activation": (conv(activation=tf.nn.softmax), SOFTMAX),
    "a lambda as activation": (conv(activation=lambda x: keras.activations.softmax(x)), SOFTMAX),
    "a lambda layer": (layers.Lambda(lambda x: tf.nn.softmax(x)), SOFTMAX),
    "a layer of one's own": (Own(), SOFTMAX),
    "a layer of one's own in TensorFlow": (OwnInTensorFlow(), SOFTMAX),
    "softmax, resized in TensorFlow": (Coarse(), SOFTMAX),
    "softmax, then enlarged": (lambda x: layers.UpSampling2D(2)(layers.Softmax()(x)), SOFTMAX),
    "softmax, then cast": (
        lambda x: layers.Activation("linear", dtype="float32")(layers.Softmax()(x)),
        SOFTMAX,
    ),
    "softmax between reshapes": (
        lambda x: layers.Reshape((8, 8, 3))(layers.Softmax()(layers.Reshape((64, 3))(x))),
        SOFTMAX,
    ),
    "a nested model": (nested, SOFTMAX),
    "the average of two": (
        lambda x: layers.Average()([layers.Softmax()(x), layers.Softmax()(conv()(x))]),
        SOFTMAX,
    ),
    "sigmoid": (conv(1, activation="sigmoid"), SIGMOID),
    "1 - p beside p": (two, SIGMOID),
    "argmax": (lambda x: ops.argmax(conv(7)(x), -1), ("labels", 7)),
    "argmax as bytes": (lambda x: ops.cast(ops.argmax(conv(7)(x), -1), "uint8"), ("labels", 7)),
    "argmax in TensorFlow": (layers.Lambda(lambda x: tf.argmax(x, -1)), ("labels", 3)),
    "softmax times two": (lambda x: layers.Softmax()(x) * 2, UNKNOWN),
    "softmax over the rows": (layers.Softmax(axis=1), UNKNOWN),
    "softmax beside a sigmoid": (
        lambda x: layers.Concatenate()([layers.Softmax()(x), ops.sigmoid(x)]),
        UNKNOWN,
    ),
}


@pytest.mark.parametrize("name", sorted(ENDS))
def test_ends(name):
    end, expected = ENDS[name]
    image = keras.Input((8, 8, 3))
    assert last_activation(keras.Model(image, end(image))) == expected


class Subclassed(keras.Model):
    def __init__(self, softmax):
        super().__init__()
        self.score, self.end = conv(), layers.Softmax() if softmax else layers.Identity()

    def call(self, image):
        return self.end(self.score(image))


def test_a_subclassed_model():
    assert last_activation(Subclassed(True)) == SOFTMAX
    assert last_activation(Subclassed(False)) == LOGITS


def test_sequential():
    model = keras.Sequential([keras.Input((None, None, 3)), conv(4), layers.Softmax()])
    assert last_activation(model) == SOFTMAX


def test_reading_leaves_the_graph_as_it_is():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, Own()(conv()(image)))
    last_activation(model)
    assert [len(layer._inbound_nodes) for layer in model.layers] == [1, 1, 1]
