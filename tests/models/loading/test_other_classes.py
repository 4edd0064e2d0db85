import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, ResNet
from kseg.errors import ModelError, SettingsError
from kseg.models import FCN, DeepLabV3, with_classes


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
