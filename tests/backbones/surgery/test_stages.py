import keras
import numpy as np
import pytest
from keras import layers

from kseg.backbones import from_classifier
from kseg.errors import ModelError


def preactivated():
    """Two blocks as ResNetV2 has them: the second strides inside of its branch, behind a narrow convolution."""
    x = image = keras.Input((None, None, 3))
    x = layers.Conv2D(8, 3, 2, "same", name="stem")(x)
    pre = layers.ReLU(name="preact")(x)
    branch = layers.Conv2D(2, 1, activation="relu", name="narrow")(pre)
    branch = layers.Conv2D(8, 3, 2, "same", name="strided")(branch)
    shortcut = layers.MaxPooling2D(1, 2)(x)
    return keras.Model(image, layers.Add(name="sum")([branch, shortcut]), name="preactivated")


def test_a_stage_is_no_part_of_a_branch():
    main, last = (from_classifier(preactivated(), stage_maps=rule) for rule in ("main", "last"))
    assert [t.shape[-1] for t in main.stages.values()] == [8, 8]
    assert [t.shape[-1] for t in last.stages.values()] == [2, 8]
    assert main.stages["stage1"]._keras_history.operation.name == "preact"


def test_maps_without_padding_are_brought_to_the_images_cells():
    x = image = keras.Input((None, None, 3))
    for number in range(2):
        x = layers.Conv2D(4, 3, 2, name=f"valid{number}")(x)
    backbone = from_classifier(keras.Model(image, x))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 33, 47, 3)).astype("float32")
    assert [tuple(t.shape[1:3]) for t in backbone(pixels).values()] == [(32, 32), (16, 16)]
    plain = from_classifier(keras.Model(image, x), padding="same")
    assert [tuple(t.shape[1:3]) for t in plain(pixels).values()] == [(16, 23), (7, 11)]


def test_strides_of_no_power_of_two():
    x = image = keras.Input((None, None, 3))
    model = keras.Model(image, layers.Conv2D(4, 3, 3, "same")(x), name="third")
    with pytest.raises(ModelError, match=r"third has strides \[3\]"):
        from_classifier(model)
