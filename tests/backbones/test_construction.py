import keras
import numpy as np
import pytest

import kseg
from kseg.backbones.construction import draws_graph, graph_settings
from kseg.errors import SettingsError

IMAGE = np.random.default_rng(0).integers(0, 256, (1, 41, 54, 3)).astype("uint8")


@pytest.fixture
def channels_first():
    """As `"image_data_format": "channels_first"` in a user's keras.json does."""
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


def classifier():
    image = x = keras.Input((64, 64, 3))
    for _ in range(5):
        x = keras.layers.Conv2D(4, 3, 2, "same", activation="relu", data_format="channels_last")(x)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last")(x)
    return keras.Model(image, keras.layers.Dense(5)(x))


def resnet(**changes):
    return kseg.backbones.ResNet(18, filters=1, output_stride=8, **changes)


NETWORKS = {
    "fcn": lambda: kseg.models.FCN(
        kseg.backbones.VGG16(widths=(2, 2, 2, 2, 2), filters=3), 3, learned_upsampling="all"
    ),
    "fcn as released": lambda: kseg.models.FCN(
        kseg.backbones.VGG16(widths=(2, 2, 2, 2, 2), filters=3, padding="original"), 3
    ),
    "deconvnet": lambda: kseg.models.DeconvNet(
        kseg.backbones.VGG16BatchNorm(widths=(2, 2, 2, 2, 2), filters=3), 3
    ),
    "deeplab v1": lambda: kseg.models.DeepLabV1(
        kseg.backbones.DeepLabVGG16(widths=(2, 2, 2, 2, 2), filters=3), 3, multi_scale=True
    ),
    "deeplab v2": lambda: kseg.models.DeepLabV2(resnet(shortcut="average"), 3, hidden=2),
    "deeplab v3": lambda: kseg.models.DeepLabV3(resnet(), 3, filters=2),
    "deeplab v3+": lambda: kseg.models.DeepLabV3Plus(
        kseg.backbones.MobileNetV2(width=0.1, output_stride=16), 3, filters=2
    ),
    "pspnet": lambda: kseg.models.PSPNet(resnet(), 3, filters=2),
    "lraspp": lambda: kseg.models.LRASPP(
        kseg.backbones.MobileNetV3("small", width=0.1, output_stride=16), 3, filters=2
    ),
    "multi-scale": lambda: kseg.models.MultiScale(kseg.models.DilatedFCN(resnet(), 3, filters=2)),
    "of a classifier": lambda: kseg.models.DilatedFCN(
        kseg.backbones.from_classifier(classifier(), 8), 3, filters=2
    ),
    "lite": lambda: kseg.models.LRASPP(
        kseg.backbones.EfficientNetLite(weights=None, last_stage="stage3"), 3, low_level="stage2", filters=2
    ),
}


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_channels_first_in_keras_json_changes_nothing(name, channels_first):
    model = NETWORKS[name]()
    keras.config.set_image_data_format("channels_last")
    expected = NETWORKS[name]()
    expected.set_weights(model.get_weights())
    logits = np.asarray(expected(IMAGE))
    keras.config.set_image_data_format("channels_first")
    np.testing.assert_array_equal(np.asarray(model(IMAGE)), logits)


@pytest.mark.full
def test_channels_first_and_what_is_made_of_models(channels_first):
    graph = kseg.backbones.convolutionalize(classifier())
    assert graph.output_shape == (None, None, None, 5)
    assert kseg.backbones.dilate(graph, 8)(np.zeros((1, 64, 64, 3), "float32")).shape[-1] == 5
    model = kseg.models.PSPNet(resnet(), 3, filters=2)
    outputs = kseg.models.with_auxiliary_head(model)(IMAGE)
    assert {y.shape for y in outputs.values()} == {(1, 41, 54, 3)}
    assert kseg.inference.Predictor(model)(IMAGE[0]).shape == (41, 54)


@graph_settings("mixed_float16")
def fails():
    assert keras.config.dtype_policy().name == "mixed_float16"
    assert keras.config.image_data_format() == "channels_last"
    raise RuntimeError


def test_settings_come_back_after_an_error(channels_first):
    with pytest.raises(RuntimeError):
        fails()
    assert keras.config.dtype_policy().name == "float32"
    assert keras.config.image_data_format() == "channels_first"


def test_a_dtype_that_is_none_is_refused():
    with (
        pytest.raises(SettingsError, match="`dtype` must be a Keras dtype policy; got 'half'"),
        graph_settings("half"),
    ):
        pass
    assert keras.config.dtype_policy().name == "float32"


class Drawn:
    @draws_graph
    def __init__(self, size, *, name=None, dtype=None):
        self.size, self.name, self.seen = size, name, keras.config.dtype_policy().name


def test_constructors():
    assert Drawn(3, dtype="mixed_float16").seen == "mixed_float16"
    assert (Drawn(3).seen, Drawn(3, name="a").name) == ("float32", "a")
    with pytest.raises(SettingsError, match="Drawn has no argument `nmae`: did you mean `name`"):
        Drawn(3, nmae="a")


@pytest.mark.parametrize("wrong", [["cat", "dog"], "cat", 0, 2.0, None])
def test_the_number_of_classes_is_checked_before_a_layer_is_made(wrong):
    backbone = kseg.backbones.VGG16(widths=(2, 2, 2, 2, 2), filters=3)
    for settings in ({"num_classes": wrong}, None):
        with pytest.raises(SettingsError, match="`num_classes` must be a whole number from 1 on"):
            kseg.models.FCN(backbone, **settings) if settings else kseg.models.FCN(backbone, wrong)
