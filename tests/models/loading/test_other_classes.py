import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, DeepLabMobileNetV2, ResNet, VGG16BatchNorm
from kseg.errors import ModelError, SettingsError
from kseg.layers import ResizeLike
from kseg.models import (
    FCN,
    LRASPP,
    DeconvNet,
    DeepLabV2,
    DeepLabV3,
    LiteFPN,
    MultiScale,
    Segmenter,
    with_classes,
)


def test_all_but_the_score_layer_is_kept():
    backbone = ResNet(18, filters=4, output_stride=8, bgr=False, first_rate="previous")
    model = DeepLabV3(backbone, 3, filters=8, rates=(2,), upsampling="corners")
    model.classes = ("a", "b", "c")
    other = with_classes(model, 5)
    assert other.num_classes == 5
    assert other.classes is None
    mine, theirs = model.get_config(), other.get_config()
    assert {key for key in mine if mine[key] != theirs[key]} == {"num_classes", "classes"}
    differ = [
        variable.path
        for variable, known in zip(other.weights, model.weights, strict=True)
        if variable.shape != known.shape or not np.array_equal(variable, known)
    ]
    assert differ == ["score/kernel", "score/bias"]


def test_the_model_is_not_changed():
    model = FCN(VGG16(filters=4), 2, stride=32)
    before = [np.asarray(variable) for variable in model.weights]
    other = with_classes(model, 2, dtype="mixed_float16")
    other.get_layer("block1_conv1").kernel.assign(other.get_layer("block1_conv1").kernel * 0)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    assert other.get_layer("block1_conv1").compute_dtype == other.get_layer("fc7").compute_dtype == "float16"


def test_others_are_refused():
    image = keras.Input((4, 4, 3))
    with pytest.raises(ModelError, match="not a network of kseg"):
        with_classes(keras.Model(image, image), 3)
    with pytest.raises(SettingsError):
        with_classes(FCN(VGG16(filters=4), 2, stride=32), 0)
    with pytest.raises(SettingsError, match=r"`num_classes` is a number; .* give names as classes=\['cat', 'dog'\]"):
        FCN(VGG16(filters=4), 2, stride=32).change_classes(["cat", "dog"])


def drawn():
    """A network whose head is drawn by hand: two score layers, added."""
    backbone = ResNet(18, filters=2, output_stride=16)
    deep, fine = (keras.layers.Conv2D(2, 1)(backbone.stages[name]) for name in ("stage5", "stage3"))
    scores = keras.layers.Add()([ResizeLike()([deep, fine]), fine])
    logits = ResizeLike(dtype="float32")([keras.layers.Activation("tanh")(scores), backbone.input])
    return Segmenter(backbone.input, logits, backbone=backbone, num_classes=2)


NETWORKS = {
    "fcn": lambda: FCN(VGG16(widths=(2, 2, 3, 3, 4), filters=4), 2, stride=8, learned_upsampling="all"),
    "deeplabv2": lambda: DeepLabV2(ResNet(18, filters=2, output_stride=8), 2, rates=(1, 2), hidden=2),
    "lite_fpn": lambda: LiteFPN(DeepLabMobileNetV2(0.2), 2, context=2, levels=(("stage2", 2, 2),)),
    "lraspp": lambda: LRASPP(ResNet(18, filters=2, output_stride=16), 2, filters=2),
    "deconvnet": lambda: DeconvNet(VGG16BatchNorm(widths=(2, 2, 2, 2, 2), filters=2), 2),
    "multi_scale": lambda: MultiScale(DeepLabV2(ResNet(18, filters=1, output_stride=8), 2, rates=(1,)), (1, 0.5)),
    "drawn": drawn,
}


MORE, AS_MANY = ["car", "road", "tree", "sky"], ["road", "car"]


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("drawn", MORE),
        pytest.param("lite_fpn", MORE, marks=pytest.mark.full),
        ("fcn", AS_MANY),
        *(pytest.param(name, MORE, marks=pytest.mark.slow) for name in ("deeplabv2", "lraspp", "deconvnet")),
        *(pytest.param(name, AS_MANY, marks=pytest.mark.slow) for name in ("drawn", "lite_fpn", "multi_scale")),
    ],
)
def test_classes_of_the_same_name_score_as_before(name, classes):
    """Whatever layers score: a class that both have gets the same logits, also with as many classes as before."""
    model = NETWORKS[name]()
    random = np.random.default_rng(0)
    for variable in model.weights:
        if variable.path.endswith(("kernel", "bias")) and "upsampling" not in variable.path:
            variable.assign(random.normal(0, 0.3, variable.shape))
    model.classes, model.working_size = ("sky", "road"), (32, 32)
    image = random.uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(image))
    other = with_classes(model, classes=classes)
    found = keras.ops.convert_to_numpy(other(image))
    assert found.shape[-1] == other.num_classes == len(classes)
    for mine, label in enumerate(classes):
        if label in model.classes:
            theirs = model.classes.index(label)
            np.testing.assert_allclose(found[..., mine], expected[..., theirs], rtol=1e-4, atol=1e-5)
    assert (other.classes, other.working_size) == (tuple(classes), (32, 32))


def test_without_names_no_score_is_kept():
    model = DeepLabV3(ResNet(18, filters=2, output_stride=8), 3, filters=3, rates=(2,))
    model.classes = ("a", "b", "c")
    kernels = [
        keras.ops.convert_to_numpy(with_classes(model, **new).get_layer("score").kernel)
        for new in ({"num_classes": 3}, {"classes": ["a", "b", "c"]})
    ]
    own = keras.ops.convert_to_numpy(model.get_layer("score").kernel)
    assert not np.allclose(kernels[0], own)
    np.testing.assert_array_equal(kernels[1], own)


def test_nothing_is_frozen_in_the_new_one():
    model = DeepLabV3(ResNet(18, filters=2, output_stride=8), 3, filters=3, rates=(2,))
    model.freeze("backbone", "score")
    assert len(with_classes(model, 4).trainable_variables) > len(model.trainable_variables)
    model.freeze()
    assert not model.trainable_variables
    assert with_classes(model, 4).trainable_variables


def test_a_score_layer_that_cannot_be_told():
    backbone = ResNet(18, filters=2, output_stride=16)
    x = keras.layers.Conv2D(4, 1)(backbone.deepest)
    logits = ResizeLike(dtype="float32")([keras.layers.Dense(2)(keras.layers.Dense(3)(x)), backbone.input])
    model = Segmenter(backbone.input, logits, backbone=backbone, num_classes=2)
    assert with_classes(model, 5).output_shape[-1] == 5
    logits = ResizeLike(dtype="float32")([keras.ops.split(x, 2, axis=-1)[0], backbone.input])
    model = Segmenter(backbone.input, logits, backbone=backbone, num_classes=2)
    with pytest.raises(ModelError, match="no layer is found that gives the scores"):
        with_classes(model, 5)


@pytest.mark.parametrize(
    "wrong", [{}, {"classes": "ab"}, {"classes": ["a", "a"]}, {"num_classes": 3, "classes": ["a"]}, {"classes": []}]
)
def test_numbers_and_names_that_do_not_fit(wrong):
    with pytest.raises(SettingsError, match="classes"):
        with_classes(FCN(VGG16(widths=(2, 2, 3, 3, 4), filters=4), 2, stride=32), **wrong)
