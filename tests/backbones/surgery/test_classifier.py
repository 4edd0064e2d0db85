"""The classifier that is cut up gives the expected values."""

import keras
import numpy as np
import pytest
from keras import layers

import kseg
from kseg.backbones import convolutionalize, from_classifier
from kseg.errors import ModelError
from kseg.layers import Normalize
from kseg.models import FCN


def _image(size, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (2, *size, 3)).astype("float32")


def _vgg_like(activation="softmax"):
    """A VGG16 of 16 x 24 images: stride 4, map 4 x 6, two dense layers."""
    return keras.Sequential(
        [
            keras.Input((16, 24, 3)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(5, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(8, activation="relu", name="fc1"),
            layers.Dropout(0.5),
            layers.Dense(3, activation=activation, name="predictions"),
        ],
        name="vgg_like",
    )


def _pooled(kind="GlobalAveragePooling2D", size=(16, 24), **pooling):
    """A ResNet-like end, with a squeeze-and-excitation gate in the body."""
    image = keras.Input((*size, 3))
    x = layers.Conv2D(6, 3, strides=4, padding="same", name="conv")(image)
    gate = layers.Reshape((1, 1, 6))(layers.GlobalAveragePooling2D(name="squeeze")(x))
    x = layers.Multiply()([x, layers.Conv2D(6, 1, activation="sigmoid", name="excite")(gate)])
    x = getattr(layers, kind)(name="pool", **pooling)(x)
    x = layers.BatchNormalization(name="norm")(x)
    if pooling:
        x = layers.Flatten()(layers.Conv2D(7, 1, name="mix")(x))
    return keras.Model(image, layers.Activation("softmax")(layers.Dense(3, name="logits")(x)), name="pooled")


@pytest.mark.parametrize("activation", ["softmax", None])
def test_dense_layers_become_convolutions(activation):
    model = _vgg_like(activation)
    mapped = convolutionalize(model)
    image = _image((16, 24))
    np.testing.assert_allclose(
        np.asarray(mapped(image))[:, 0, 0], np.asarray(model(image)), rtol=1e-4, atol=1e-5
    )
    assert mapped.get_layer("fc1").kernel.shape == (4, 6, 5, 8)


def test_every_value_of_the_map_answers_for_its_window():
    """Windows of an image that repeats every 16 rows see the same pixels; only the borders' zeros differ."""
    model = _vgg_like(None)
    mapped = convolutionalize(model)
    tile = _image((16, 24))
    out = np.asarray(mapped(np.tile(tile, (1, 3, 1, 1))))
    assert out.shape == (2, 9, 1, 3)
    np.testing.assert_allclose(out[:, 1:4], out[:, 5:8], rtol=1e-4, atol=1e-5)
    assert np.abs(out[:, 1] - out[:, 2]).max() > 1e-3


@pytest.mark.parametrize(
    ("kind", "pooling"),
    [
        ("GlobalAveragePooling2D", {}),
        ("GlobalMaxPooling2D", {}),
        ("GlobalAveragePooling2D", {"keepdims": True}),
    ],
)
def test_global_pooling_becomes_pooling_over_the_training_map(kind, pooling):
    model = _pooled(kind, **pooling)
    mapped = convolutionalize(model)
    image = _image((16, 24))
    expected = np.asarray(model(image))
    np.testing.assert_allclose(np.asarray(mapped(image))[:, 0, 0], expected, rtol=1e-4, atol=1e-5)
    assert mapped(_image((20, 32))).shape == (2, 2, 3, 3)
    assert isinstance(mapped.get_layer("squeeze"), layers.GlobalAveragePooling2D)


def test_an_open_size_is_asked_for():
    model = _pooled(size=(None, None))
    with pytest.raises(ModelError, match="size="):
        convolutionalize(model)
    image = _image((16, 24))
    ours = np.asarray(convolutionalize(model, size=(16, 24))(image))[:, 0, 0]
    np.testing.assert_allclose(ours, np.asarray(model(image)), rtol=1e-4, atol=1e-5)


def test_a_fine_tuned_network():
    """Transfer learning's usual shape: a Sequential around a network without top."""
    base = keras.Model(
        i := keras.Input((16, 24, 3)), layers.Conv2D(4, 3, strides=4, padding="same")(i), name="base"
    )
    model = keras.Sequential(
        [keras.Input((16, 24, 3)), base, layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )
    image = _image((16, 24))
    ours = np.asarray(convolutionalize(model)(image))[:, 0, 0]
    np.testing.assert_allclose(ours, np.asarray(model(image)), rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("MobileNetV2", {"alpha": 0.35}), ("MobileNet", {"alpha": 0.25}), ("ResNet50", {})],
)
def test_networks_of_keras_applications(name, arguments):
    model = getattr(keras.applications, name)(weights=None, classes=10, input_shape=(96, 96, 3), **arguments)
    mapped = convolutionalize(model)
    image = _image((96, 96))
    np.testing.assert_allclose(np.asarray(mapped(image))[:, 0, 0], np.asarray(model(image)), rtol=1e-3)
    assert mapped(_image((128, 160))).shape == (2, 2, 3, 10)


def _ending(*end):
    return keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3), *end], name="net")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda: _ending(), "nothing to convolutionalize"),
        (
            lambda: _ending(layers.Flatten(), layers.BatchNormalization(name="flatnorm"), layers.Dense(2)),
            "flatnorm",
        ),
        (
            lambda: _ending(
                layers.Flatten(), layers.Dense(4), layers.Reshape((2, 2)), layers.LSTM(3, name="lstm")
            ),
            "lstm",
        ),
        (lambda: _ending(layers.Flatten(), layers.Dense(2), layers.UnitNormalization(name="unit")), "unit"),
        (lambda: keras.Sequential([layers.Dense(2)], name="unbuilt"), "unbuilt"),
    ],
)
def test_what_cannot_be_converted_is_named(model, words):
    with pytest.raises(ModelError, match=words):
        convolutionalize(model())


# ---- from_classifier ----


def _mobilenet(top=False):
    shape = (96, 96, 3)
    return keras.applications.MobileNetV2(
        weights=None, include_top=top, alpha=0.35, input_shape=shape, classes=5
    )


@pytest.mark.slow
def test_stages_of_mobilenet_v2():
    """The layers ahead of each stride, as torchvision and tf models tap them (expansions of blocks 1, 3, 6, 13)."""
    model = _mobilenet(top=True)
    taps = [
        "block_1_expand_relu",
        "block_3_expand_relu",
        "block_6_expand_relu",
        "block_13_expand_relu",
        "out_relu",
    ]
    parts = keras.Model(model.inputs[0], [model.get_layer(tap).output for tap in taps])
    normalize = Normalize((127.5,) * 3, (127.5,) * 3, name="normalize")
    backbone = from_classifier(model, normalize=normalize)
    assert list(backbone.stages) == ["stage1", "stage2", "stage3", "stage4", "stage5"]
    image = _image((96, 96))
    ours, expected = backbone(image), parts(image / 127.5 - 1)
    for stage, features in zip(backbone.stages, expected, strict=True):
        np.testing.assert_allclose(np.asarray(ours[stage]), np.asarray(features), rtol=1e-3, atol=1e-4)
    assert backbone(_image((33, 64)))["stage1"].shape == (2, 17, 32, 48)


@pytest.mark.full
def test_dilated_stages_keep_names_and_values():
    model = _mobilenet()
    narrow, wide = from_classifier(model), from_classifier(model, output_stride=8)
    image = _image((64, 96)) / 255
    expected, ours = narrow(image), wide(image)
    for stage, step in {"stage3": 1, "stage4": 2, "stage5": 4}.items():
        assert ours[stage].shape[1:3] == (8, 12)
        sampled = np.asarray(ours[stage])[:, ::step, ::step]
        np.testing.assert_allclose(sampled, np.asarray(expected[stage]), rtol=1e-3, atol=1e-5)


def test_saved_and_loaded_bit_equal(tmp_path):
    backbone = from_classifier(
        _pooled(), output_stride=2, normalize=Normalize((1, 2, 3), (4, 5, 6), bgr=True), name="encoder"
    )
    backbone.save(tmp_path / "b.keras")
    twin = keras.saving.load_model(tmp_path / "b.keras")
    assert (twin.name, twin.output_stride, twin.normalize.bgr) == ("encoder", 2, True)
    assert twin.get_config() == backbone.get_config()
    assert [layer.get_config() for layer in twin.layers] == [layer.get_config() for layer in backbone.layers]
    image = _image((17, 23))
    for stage in backbone.stages:
        np.testing.assert_array_equal(np.asarray(twin(image)[stage]), np.asarray(backbone(image)[stage]))


def test_mixed_precision_is_the_classifiers():
    model = _vgg_like()
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = _vgg_like()
    finally:
        keras.config.set_dtype_policy(policy)
    assert from_classifier(half).deepest.dtype == "float16"
    assert from_classifier(model).deepest.dtype == "float32"


def test_strides_that_are_no_powers_of_two_are_refused():
    with pytest.raises(ModelError, match="powers of two"):
        from_classifier(_ending(layers.MaxPooling2D(3)))
    with pytest.raises(ModelError, match="output stride"):
        from_classifier(_vgg_like(), output_stride=12)


def test_images_smaller_than_a_classifier_takes(tmp_path):
    """As InceptionV3 below 75 pixels: its windows stay within the map, and small images leave none."""
    image = x = keras.Input((None, None, 3))
    for number in range(5):
        x = keras.layers.Conv2D(4, 3, 2, "same", activation="relu", name=f"down{number}")(x)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="within")(x)
    classifier = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    backbone = from_classifier(classifier, normalize=Normalize((100, 100, 100), (50, 50, 50)))
    model = FCN(backbone, 2, stride=32)
    for variable in model.variables:
        variable.assign(np.random.default_rng(0).normal(0, 0.3, variable.shape))
    small = np.random.default_rng(1).uniform(0, 255, (1, 40, 70, 3)).astype("float32")
    whole = np.full((1, 96, 96, 3), 100, "float32")  # zero once it is normalised
    whole[:, :40, :70] = small
    found, expected = (keras.ops.convert_to_numpy(model(pixels)) for pixels in (small, whole))
    np.testing.assert_allclose(found, expected[:, :40, :70], atol=1e-6)
    assert np.ptp(found) > 0.01  # it depends on the pixels
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(again(small)), found)


@pytest.mark.full
@pytest.mark.parametrize("name", ["inception_v3", "xception", "nasnet_mobile"])
def test_encoders_of_keras_at_small_sizes(name):
    model = kseg.models.build("unet", 2, encoder=name, weights=None)
    for size in ((75, 75), (97, 83), (40, 64), (5, 9)):
        found = keras.ops.convert_to_numpy(model(np.full((1, *size, 3), 99, "float32")))
        assert found.shape == (1, *size, 2)
        assert np.isfinite(found).all()
