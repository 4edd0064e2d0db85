"""Dilated nets against the nets they were made of: the strided net is the expected value."""

import keras
import numpy as np
import pytest
from keras import layers

import kseg
from kseg.backbones import dilate
from kseg.errors import ModelError
from kseg.layers import AtrousConv2D


def _image(size, channels=3):
    return np.random.default_rng(0).uniform(-1, 1, (1, *size, channels)).astype("float32")


def _randomise(model):
    """Random numbers everywhere, since zero biases and unit scales hide mistakes at padded borders."""
    generator = np.random.default_rng(1)
    for weight in model.weights:
        if len(weight.shape) == 1:
            weight.assign(generator.uniform(0.3, 0.9, weight.shape))
    return model


def _compare(model, output_stride, size, stride=32, tolerance=1e-4):
    dilated = dilate(model, output_stride)
    expected, wide = np.asarray(model(_image(size))), np.asarray(dilated(_image(size)))
    assert wide.shape[1:3] == tuple(side // output_stride for side in size)
    step = stride // output_stride
    np.testing.assert_allclose(
        wide[:, ::step, ::step], expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )


def _mobilenet():
    shape = (None, None, 3)
    return keras.applications.MobileNetV2(weights=None, include_top=False, alpha=0.35, input_shape=shape)


@pytest.mark.full
def test_mobilenet_v2():
    """Strides by ZeroPadding2D and "valid" depthwise convolutions."""
    _compare(_randomise(_mobilenet()), 8, (64, 96))


@pytest.mark.full
@pytest.mark.parametrize(
    "backbone",
    [
        lambda: kseg.backbones.ResNet(),  # its maps have a place more than the image has strides
        lambda: kseg.backbones.MobileNetV2(width=0.35),
        lambda: kseg.backbones.EfficientNetLite(weights=None),
    ],
    ids=["ResNet", "MobileNetV2", "EfficientNetLite"],
)
def test_the_package_s_own_backbones(backbone):
    """They are built of kseg's Conv2D, DepthwiseConv2D and BatchNormalization."""
    made = backbone()
    model = _randomise(keras.Model(made.input, made.deepest))
    expected, wide = (np.asarray(one(_image((64, 96)))) for one in (model, dilate(model, 8)))
    assert wide.shape[1:3] == tuple(4 * side for side in expected.shape[1:3])
    np.testing.assert_allclose(wide[:, ::4, ::4], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize(
    "name", ["VGG16", "MobileNetV2", "ResNet50", "ResNet50V2", "DenseNet121", "Xception"]
)
def test_networks_of_keras_applications(name, output_stride):
    model = getattr(keras.applications, name)(weights=None, include_top=False)
    _compare(_randomise(model), output_stride, (96, 128))


def _window_net(kind, padding, size, same_after):
    """stride 2, 2, 2 by the layer under test, each followed by a stride-1 convolution and pooling."""
    image = x = keras.Input((None, None, 3))
    for block in range(3):
        if kind in ("MaxPooling2D", "AveragePooling2D"):
            x = getattr(layers, kind)(size, strides=2, padding=padding)(x)
        elif kind == "DepthwiseConv2D":
            x = layers.DepthwiseConv2D(size, strides=2, padding=padding)(x)
        else:
            x = getattr(layers, kind)(4, size, strides=2, padding=padding)(x)
        x = layers.Conv2D(4, same_after, padding="same", activation="relu", name=f"after{block}")(x)
        x = layers.MaxPooling2D(3, strides=1, padding="same")(x)
    return keras.Model(image, x)


@pytest.mark.full
@pytest.mark.parametrize(
    "kind", ["Conv2D", "SeparableConv2D", "DepthwiseConv2D", "MaxPooling2D", "AveragePooling2D"]
)
@pytest.mark.parametrize(
    ("padding", "size"), [("same", 3), ("same", 2), ("same", 5), ("valid", 2), ("valid", 1)]
)
def test_every_kind_of_window(kind, padding, size):
    same_after = 4 if size == 2 else 3  # an even window pads unevenly
    _compare(_randomise(_window_net(kind, padding, size, same_after)), 2, (32, 48), stride=8)


def test_explicit_padding_and_cropping():
    image = keras.Input((None, None, 2))
    x = layers.Conv2D(3, 3, strides=2, padding="same")(image)
    x = layers.ZeroPadding2D(((1, 1), (1, 1)))(x)  # ResNet's: pad 1, 3x3, stride 2
    x = layers.Conv2D(4, 3, strides=2)(x)
    x = layers.ZeroPadding2D(((0, 3), (2, 1)))(x)
    x = layers.Conv2D(4, 3)(x)
    x = layers.Cropping2D(((0, 1), (1, 0)))(x)
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x)  # MobileNet's
    model = keras.Model(image, layers.Conv2D(5, 3, strides=2)(x))
    dilated = dilate(model, 2)
    expected, wide = np.asarray(model(_image((32, 48), 2))), np.asarray(dilated(_image((32, 48), 2)))
    assert wide.shape == (1, 16, 24, 5)
    np.testing.assert_allclose(wide[:, ::4, ::4], expected, rtol=1e-4, atol=1e-5)


def test_gates_pool_over_the_whole_map():
    image = keras.Input((None, None, 4))
    x = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(gate)
    dilated = dilate(keras.Model(image, layers.Multiply()([x, gate])), 1)
    x = np.asarray(dilated.layers[2](dilated.layers[1](_image((8, 6), 4))))
    assert dilated(_image((8, 6), 4)).shape == (1, 8, 6, 4)
    assert x.shape == (1, 8, 6, 4)


def test_operations_on_tensors_pass():
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(2, 2, strides=2, padding="same")(image)
    model = keras.Model(image, keras.ops.relu(x + 0.5 * x))
    _compare(model, 1, (8, 6), stride=2)


def test_dilated_convolutions_are_single_operations_of_the_same_name():
    dilated = dilate(
        keras.Sequential(
            [keras.Input((32, 32, 3)), layers.Conv2D(2, 3, strides=2), layers.Conv2D(5, 3, name="c")]
        ),
        1,
    )
    layer = dilated.get_layer("c")
    assert isinstance(layer, AtrousConv2D)
    assert layer.dilation_rate == (2, 2)
    assert layer.padding == "valid"


def test_it_is_a_copy(tmp_path):
    model = _window_net("DepthwiseConv2D", "same", 3, 3)
    before = model.get_weights()
    dilated = dilate(model, 2)
    names = [layer.name for layer in model.layers if layer.weights]
    assert [layer.name for layer in dilated.layers if layer.weights] == names
    for layer in model.layers:
        assert layer.output is not None  # raises where a layer was called twice
    dilated.save(tmp_path / "d.keras")
    twin = keras.saving.load_model(tmp_path / "d.keras")
    np.testing.assert_array_equal(np.asarray(twin(_image((17, 23)))), np.asarray(dilated(_image((17, 23)))))
    dilated.set_weights([weight * 0 for weight in before])
    for ours, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, expected)


class _Subclassed(keras.Model):
    def call(self, x):
        return x


@keras.saving.register_keras_serializable(package="kseg_tests")
class _Blur(layers.Layer):
    def call(self, x):
        return x[:, :-1] + x[:, 1:]


@keras.saving.register_keras_serializable(package="kseg_tests")
class _Halve(layers.Layer):
    def call(self, x):
        return x / 2


def _with(layer, first=2, strides=(2, 2)):
    image = keras.Input((16, 16, 3))
    return keras.Model(
        image, layer(layers.Conv2D(first, 3, strides=strides, padding="same", name="down")(image))
    )


@pytest.mark.parametrize(
    ("model", "stride", "words"),
    [
        (lambda: _Subclassed(name="mine"), 8, "mine is not a functional"),
        (lambda: keras.Sequential([layers.Conv2D(2, 3)], name="unbuilt"), 8, "unbuilt is not a functional"),
        (lambda: "a name", 8, "str is not a functional"),
        (lambda: keras.Model(i := keras.Input((8, 3)), layers.Dense(2)(i)), 8, "one input"),
        (lambda: _with(layers.Flatten(name="flat")), 1, "flat.*convolutionalize"),
        (lambda: _with(_Blur(name="blur")), 4, "blur"),
        (lambda: _with(_Halve(name="half")), 1, "half"),
        (lambda: _with(layers.UpSampling2D(name="up")), 4, "up.*UpSampling2D"),
        (lambda: _with(layers.ReLU(), strides=(2, 1)), 8, r"down.*\(2, 1\)"),
        (lambda: _with(layers.ReLU()), 3, "output stride is 1, 2"),
    ],
)
def test_what_cannot_be_dilated_is_named(model, stride, words):
    with pytest.raises(ModelError, match=words):
        dilate(model(), stride)


def test_an_unknown_layer_ahead_of_the_holes_may_stay():
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(2, 3, strides=2, padding="same")(_Halve()(image))
    _compare(keras.Model(image, x), 1, (16, 16), stride=2)


def test_a_layer_used_at_two_strides_is_named():
    image, shared = keras.Input((16, 16, 3)), layers.Conv2D(3, 3, padding="same", name="shared")
    x = shared(layers.MaxPooling2D(2)(shared(image)))
    with pytest.raises(ModelError, match="shared"):
        dilate(keras.Model(image, x), 1)


def test_maps_of_different_strides_cannot_be_joined():
    image = keras.Input((16, 16, 3))
    small = layers.UpSampling2D(1, name="same")(layers.MaxPooling2D(2)(image))
    large = layers.Conv2D(3, 9)(image)  # 8 x 8 too, but every pixel
    with pytest.raises(ModelError, match="sum"):
        dilate(keras.Model(image, layers.Add(name="sum")([small, large])), 2)
