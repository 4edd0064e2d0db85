"""Receptive fields against published figures, and against where a gradient really reaches."""

import math

import keras
import numpy as np
import pytest
from keras import layers

import kseg.layers as own
from kseg.backbones import VGG16, DeepLabVGG16, ResNet
from kseg.errors import ModelError
from kseg.models import DeepLabV2, MultiScale, PSPNet
from kseg.models.structure.receptive_field import receptive_fields


def of(backbone):
    """{stage: (side, stride)} of square fields."""
    found = receptive_fields(backbone, backbone.stages)
    assert all(
        field.size[0] == field.size[1] and field.stride[0] == field.stride[1] for field in found.values()
    )
    return {name: (field.size[0], field.stride[0]) for name, field in found.items()}


def test_vgg16():
    """212 at pool5 (Araujo et al. 2019) and 404 at fc6 (Chen et al. 2015, section 3)."""
    stages = of(VGG16(widths=(2, 2, 2, 2, 2), filters=2))
    assert stages["stage5"] == (212, 32)
    assert receptive_fields(VGG16(widths=(2, 2, 2, 2, 2), filters=2))["fc6"].size == (404, 404)


@pytest.mark.full
@pytest.mark.parametrize("output_stride", [32, 8])
def test_resnet50_with_and_without_holes(output_stride):
    """483 (Araujo et al. 2019): holes in place of strides keep the field."""
    stages = of(ResNet(50, filters=2, output_stride=output_stride))
    assert stages["stage5"] == (483, output_stride)
    assert stages["stage2"] == (35, 4)


def by_recurrence(windows):
    """(places, stride, rate) of each layer in a row."""
    size = step = 1
    for places, stride, rate in windows:
        size += (places + (places - 1) * (rate - 1) - 1) * step
        step *= stride
    return size, step


def test_large_field_of_view():
    """DeepLab-LargeFOV layer by layer as its released train.prototxt has them."""
    same, halve, holes = (3, 1, 1), (3, 2, 1), (3, 1, 2)
    windows = [same, same, halve, same, same, halve, same, same, same, halve]
    windows += [same, same, same, same, holes, holes, holes, same, same, (3, 1, 12), (1, 1, 1)]
    assert of(DeepLabVGG16(widths=(2, 2, 2, 2, 2), filters=2))["fc7"] == by_recurrence(windows)


def support(model, gradients, size=64, beside=0):
    """Rows and columns of the picture that the map's middle cell, or one beside it, depends on."""
    rows, columns = model.compute_output_shape((1, size, size, 1))[1:3]
    x = np.random.default_rng(0).uniform(1, 2, (1, size, size, 1)).astype("float32")
    (found,) = gradients(lambda x: model(x)[0, rows // 2 + beside, columns // 2 + beside, 0], x)
    reached = np.abs(found[0, :, :, 0]) > 0
    return tuple(int(np.ptp(np.flatnonzero(reached.any(axis))) + 1) for axis in (1, 0))


def chain(*made):
    image = keras.Input((64, 64, 1))
    x = image
    for layer in made:
        x = layer(x)
    return keras.Model(image, x)


CHAINS = {
    "holes and strides": lambda: [
        layers.Conv2D(1, (3, 5), strides=2),
        own.AtrousConv2D(1, 3, 2),
        layers.AveragePooling2D(2),
        layers.Conv2D(1, 2),
    ],
    "transposed": lambda: [
        layers.Conv2D(1, 3, strides=4, padding="same"),
        layers.Conv2DTranspose(1, 4, strides=2, padding="same"),
        layers.Conv2D(1, 3),
    ],
    "pooling with holes": lambda: [layers.AveragePooling2D(2), own.DilatedPooling2D(3, 3, mode="average")],
    "several rates": lambda: [layers.AveragePooling2D(4), own.AtrousSpatialPyramidPooling(1, (1, 4))],
    "nearest": lambda: [layers.AveragePooling2D(4), layers.UpSampling2D(2), layers.Conv2D(1, 3)],
}


@pytest.mark.parametrize("name", CHAINS)
def test_as_far_as_the_gradient_reaches(name, gradients):
    model = chain(*CHAINS[name]())
    for variable in model.trainable_variables:  # nothing cancels
        variable.assign(np.random.default_rng(1).uniform(0.1, 1, variable.shape))
    assert receptive_fields(model, {"end": model.output})["end"].size == support(model, gradients)


def test_the_mean_behind_an_enlargement(gradients):
    """Three new cells in a row lie between two old ones or reach to a third."""
    model = chain(layers.AveragePooling2D(4), own.BilinearUpsampling(4), layers.Conv2D(1, 3))
    model.layers[-1].kernel.assign(np.ones((3, 3, 1, 1)))
    reached = [support(model, gradients, beside=place)[0] for place in range(4)]
    assert sorted(set(reached)) == [8, 12]
    assert receptive_fields(model, {"end": model.output})["end"].size[0] == np.mean(reached)


def test_branches_count_with_the_largest(gradients):
    image = keras.Input((64, 64, 1))
    x = layers.AveragePooling2D(2)(image)
    wide = own.AtrousConv2D(1, 3, 6, name="wide")(x)
    model = keras.Model(image, layers.Add()([layers.Conv2D(1, 3, padding="same", name="near")(x), wide]))
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    fields = receptive_fields(model)
    assert (fields["near"].size[0], fields["wide"].size[0]) == (6, 26)
    assert fields[model.layers[-1].name].size == support(model, gradients) == (26, 26)


def test_whole_pictures_inner_models_and_scales():
    backbone = ResNet(50, filters=2, output_stride=8)
    pspnet = PSPNet(backbone, 2, filters=2)
    assert receptive_fields(pspnet, {"logits": pspnet.output})["logits"].size == (math.inf, math.inf)
    deeplab = DeepLabV2(backbone, 2, rates=(6, 24))
    scores = receptive_fields(deeplab)["aspp"]
    assert scores.size[0] == 483 + 2 * 24 * 8
    half = receptive_fields(MultiScale(deeplab, (0.5, 1)))
    # Twice as far in the picture of half the size, and one pixel more, as each of its pixels reads two.
    assert half["aspp"].size[0] == 2 + 2 * (scores.size[0] - 1)
    assert half["logits"].stride == (1, 1)


def test_refusals():
    image = keras.Input((8, 8, 3))
    with pytest.raises(ModelError, match="Reshape"):
        receptive_fields(keras.Model(image, layers.Reshape((4, 16, 3), name="odd")(image)))
    with pytest.raises(ModelError, match="graph of layers"):
        receptive_fields(keras.Sequential([layers.Dense(2)]))
