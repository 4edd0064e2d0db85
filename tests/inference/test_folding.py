"""A model with its batch normalisations folded gives what it gives without, and is left as it was."""

import keras
import numpy as np
import pytest
from keras import layers

import kseg
from kseg.inference import Predictor
from kseg.inference.folding import LARGEST_FILTER, foldable, folded_call
from kseg.inference.forward import Forward
from kseg.layers import AtrousConv2D, BatchNormalization, Conv2D, DepthwiseConv2D

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 13, 18, 3)).astype("float32")
CONVOLUTIONS = {
    "plain": lambda **k: layers.Conv2D(6, 3, strides=2, padding="same", **k),
    "valid": lambda **k: layers.Conv2D(6, (3, 2), **k),
    "pointwise": lambda **k: Conv2D(6, 1, **k),
    "dilated": lambda **k: Conv2D(6, 3, dilation_rate=2, padding="same", **k),
    "grouped": lambda **k: layers.Conv2D(6, 3, groups=3, **k),
    "atrous": lambda **k: AtrousConv2D(6, 3, rate=(2, 3), **k),
    "depthwise": lambda **k: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", **k),
    "dilated depthwise": lambda **k: DepthwiseConv2D(3, dilation_rate=2, padding="same", **k),
    "separable": lambda **k: layers.SeparableConv2D(6, 3, depth_multiplier=2, **k),
    "transposed": lambda **k: layers.Conv2DTranspose(6, 4, strides=2, padding="same", **k),
    "dense": lambda **k: layers.Dense(6, **k),
}
NORMALIZATIONS = {
    "plain": lambda: BatchNormalization(epsilon=0.01),
    "keras": lambda: layers.BatchNormalization(scale=False),
    "no centre": lambda: layers.BatchNormalization(center=False, axis=3),
    "factor only": lambda: layers.BatchNormalization(center=False, scale=False),
}


def drawn(*between, size=(None, None)):
    """A model of layers one after the other, its normalisations as a training might have left them."""
    image = keras.Input((*size, 3))
    x = image
    for layer in between:
        x = layer(x)
    return trained(keras.Model(image, x))


def trained(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if variable.name in ("moving_mean", "beta", "bias"):
            variable.assign(rng.normal(size=variable.shape))
        elif variable.name in ("moving_variance", "gamma"):
            variable.assign(rng.uniform(0.4, 3, variable.shape))
    return model


def assert_same(model, images=IMAGES):
    outputs = model(images, training=False), folded_call(model, images)
    expected, found = (keras.ops.convert_to_numpy(keras.ops.cast(y, "float32")) for y in outputs)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("bias", [pytest.param(True, marks=pytest.mark.full), False])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_folded_into_each_convolution(name, bias):
    model = drawn(CONVOLUTIONS[name](use_bias=bias), NORMALIZATIONS["plain"](), layers.ReLU())
    assert len(foldable(model)) == 1
    assert_same(model)


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_each_normalisation_is_folded(name):
    model = drawn(CONVOLUTIONS["plain"](use_bias=False), NORMALIZATIONS[name]())
    assert len(foldable(model)) == 1
    assert_same(model)


WIDE = LARGEST_FILTER // 9 + 1  # channels, of which filters of 3x3 are too large


@pytest.mark.parametrize(
    "between",
    [
        lambda: [layers.Conv2D(4, 3), layers.ReLU(), BatchNormalization()],
        lambda: [layers.Conv2D(4, 3, activation="relu"), BatchNormalization()],
        lambda: [layers.Conv2D(4, 3, dtype="mixed_bfloat16"), BatchNormalization(dtype="mixed_bfloat16")],
        lambda: [layers.Conv2D(4, 3), BatchNormalization(dtype="mixed_bfloat16")],
        lambda: [layers.Conv2D(WIDE, 1), layers.ReLU(), layers.Conv2D(4, 3), BatchNormalization()],
        lambda: [layers.Conv2D(4, 3), BatchNormalization(axis=1)],
        lambda: [BatchNormalization(), layers.Conv2D(4, 3)],
        lambda: [layers.AveragePooling2D(2), BatchNormalization()],
    ],
    ids=["relu", "activation", "mixed", "half mixed", "large filter", "axis", "before", "no convolution"],
)
def test_what_cannot_be_folded_runs_as_it_is(between):
    model = drawn(*between(), size=IMAGES.shape[1:3])
    assert not foldable(model)
    assert_same(model)


def test_lora_is_left_alone():
    model = drawn(layers.Conv2D(4, 3), BatchNormalization())
    model.layers[1].enable_lora(2)
    assert not foldable(model)
    assert_same(model)


def test_a_layer_called_twice_or_read_twice_is_left_alone():
    image = keras.Input((None, None, 3))
    shared, normalization = layers.Conv2D(3, 3, padding="same"), BatchNormalization()
    twice = keras.Model(image, BatchNormalization()(shared(BatchNormalization()(shared(image)))))
    maps = layers.Conv2D(3, 3, padding="same")(image)
    read = keras.Model(image, layers.Add()([maps, BatchNormalization()(maps)]))
    both = keras.Model(image, [maps, BatchNormalization()(maps)])
    again = layers.Conv2D(3, 1)(normalization(layers.Conv2D(3, 3, padding="same")(image)))
    normalized = keras.Model(image, normalization(again))
    assert not any(foldable(trained(model)) for model in (twice, read, both, normalized))
    for model in (twice, read, normalized):
        assert_same(model)
    for found, expected in zip(folded_call(both, IMAGES), both(IMAGES), strict=True):
        np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_a_convolution_of_several_models_is_folded_in_each_that_calls_it_once():
    image = keras.Input((None, None, 3))
    maps = layers.Conv2D(3, 3, padding="same")(image)
    first, bare = keras.Model(image, BatchNormalization()(maps)), keras.Model(image, maps)
    outer = keras.Input((None, None, 3))
    second = keras.Model(outer, layers.Concatenate()([first(outer), bare(outer), first(outer * 0.5)]))
    trained(second)
    assert foldable(first)
    assert not foldable(bare)
    for model in (first, bare, second):
        assert_same(model)


class OwnCall(keras.Model):
    """A graph of layers with a `call` that does something else."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


class Inside(layers.Layer):
    def call(self, x, training=True):
        return 3 * x if training else x


class Around(layers.Layer):
    """Has no `training` of its own, and a layer within that has one."""

    def __init__(self):
        super().__init__()
        self.inside = Inside()

    def call(self, x):
        return self.inside(x)


def test_layers_within_layers_are_told_that_they_predict():
    image = keras.Input((None, None, 3))
    body = keras.Model(
        image, Around()(BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image / 255)))
    )
    for model in trained(body), keras.Model(image, body(image)):
        assert_same(model)
        probabilities = keras.ops.convert_to_numpy(keras.ops.softmax(model(IMAGES, training=False)))
        np.testing.assert_allclose(Forward(model).run(IMAGES), probabilities, atol=1e-4)


def test_nested_sequential_and_own_models():
    body = keras.Sequential([layers.Conv2D(5, 3), BatchNormalization(), layers.Dropout(0.5)])
    image = keras.Input((None, None, 3))
    nested = trained(keras.Model(image, layers.Conv2D(2, 1)(body(image, training=True))))
    own = trained(OwnCall(image, BatchNormalization()(layers.Conv2D(5, 3)(image))))
    outer = keras.Model(image, own(inputs=image))
    for model in (nested, body, own, outer):
        assert_same(model)


def test_the_model_stays_as_it_is_and_its_new_weights_count():
    model = drawn(layers.Conv2D(4, 3, padding="same"), BatchNormalization())
    weights, nodes = model.get_weights(), [len(layer._inbound_nodes) for layer in model.layers]
    predict, forward = Predictor(model), Forward(model)
    image = IMAGES[0].astype("uint8")
    before = predict.probabilities(image), forward.run(IMAGES)
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
    trained(model, seed=1)
    fresh = Predictor(model).probabilities(image)
    assert np.abs(predict.probabilities(image) - before[0]).max() > 0.1
    np.testing.assert_array_equal(predict.probabilities(image), fresh)
    assert np.abs(forward.run(IMAGES) - before[1]).max() > 0.1
    model.set_weights(weights)
    np.testing.assert_array_equal(predict.probabilities(image), before[0])


def small_models():
    backbone = kseg.backbones.ResNet(50, output_stride=8, filters=4)
    yield kseg.models.PSPNet(backbone, 3, filters=4)
    yield kseg.models.MultiScale(kseg.models.DeepLabV2(backbone, 3, rates=(2, 3)), scales=(1.0, 0.5))


@pytest.mark.full
def test_small_models_fold_their_normalisations_by_the_dozen():
    for model in small_models():
        trained(model)
        graph = model if foldable(model) else next(one for one in model.layers if hasattr(one, "layers"))
        assert len(foldable(graph)) > 40
        assert_same(model, IMAGES[:1])


NAMES = [name for name in kseg.models.names() if "vgg16" not in name or "deconvnet" in name]


@pytest.mark.full
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if "vgg" in n else []) for n in NAMES]
)
def test_every_network_of_the_catalog(name):
    model = kseg.models.build(name, 4, weights=None)
    rng = np.random.default_rng(0)
    for variable in model.variables:  # near to what they are: a network that blows up blows rounding up, too
        if variable.name in ("moving_mean", "beta"):
            variable.assign(rng.normal(scale=0.1, size=variable.shape))
        elif variable.name in ("moving_variance", "gamma"):
            variable.assign(variable * rng.uniform(0.8, 1.2, variable.shape))
    size = model.input_shape[1:3] if None not in model.input_shape[1:3] else (64, 96)
    assert_same(model, np.random.default_rng(0).uniform(0, 255, (1, *size, 3)).astype("float32"))


@pytest.mark.tensorflow
def test_it_may_be_the_first_thing_in_a_graph():
    import tensorflow as tf

    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(image))
    model, images = keras.Model(image, x), np.ones((1, 8, 8, 3), "float32")
    found = tf.function(lambda images: folded_call(model, images), autograph=False)(images)
    np.testing.assert_allclose(found.numpy(), np.asarray(model(images)), atol=1e-5)
