import keras
import numpy as np
import pytest

from kseg.backbones import VGG16, DeepLabVGG16
from kseg.backbones.deeplab_vgg import copy_vgg16


@pytest.mark.parametrize("size", [(33, 41), (32, 46)])
def test_sizes_are_rounded_up_as_by_caffe(size):
    """Caffe: ceil((n + 2 pad - window) / stride) + 1 for each pooling."""
    stages = DeepLabVGG16(widths=(2, 2, 2, 2, 2), filters=2)(np.zeros((1, *size, 3), "float32"))
    expected = size
    for number in (1, 2, 3):
        expected = tuple(int(np.ceil((n + 2 - 3) / 2)) + 1 for n in expected)
        assert tuple(stages[f"stage{number}"].shape[1:3]) == expected
    for name in ("stage4", "stage5", "fc7"):
        assert tuple(stages[name].shape[1:3]) == expected


def test_holes_and_config():
    arguments = {
        "widths": (2, 3, 4, 5, 6),
        "kernel": 4,
        "rate": 8,
        "filters": 3,
        "pool_size": 2,
        "average": False,
        "dropout": 0.25,
    }
    backbone = DeepLabVGG16(**arguments)
    again = DeepLabVGG16.from_config(backbone.get_config())
    assert {k: again.get_config()[k] for k in arguments} == arguments
    assert again.get_layer("fc6").rate == (8, 8)
    assert again.get_layer("block5_conv1").rate == (2, 2)
    assert again.get_layer("block4_conv3").rate == (1, 1)
    assert again(np.zeros((1, 32, 48, 3), "float32"))["fc7"].shape == (1, 4, 6, 3)


def test_average_counts_the_padding():
    """Caffe divides a corner's four values by nine."""
    backbone = DeepLabVGG16(widths=(2, 2, 2, 2, 2), filters=None)
    pad, pool = backbone.get_layer("pool5a_pad"), backbone.get_layer("pool5a")
    y = np.asarray(pool(pad(np.ones((1, 3, 3, 1), "float32"))))[0, :, :, 0]
    np.testing.assert_allclose(y, np.array([[4, 6, 4], [6, 9, 6], [4, 6, 4]]) / 9, rtol=1e-6)


def test_filters_of_vgg16_are_decimated():
    vgg16, backbone = VGG16(filters=8), DeepLabVGG16(filters=2)
    copy_vgg16(vgg16, backbone)
    for name in ("block1_conv1", "block5_conv3"):
        np.testing.assert_array_equal(backbone.get_layer(name).kernel, vgg16.get_layer(name).kernel)
    fc6, fc7 = (np.asarray(vgg16.get_layer(n).kernel) for n in ("fc6", "fc7"))
    np.testing.assert_array_equal(backbone.get_layer("fc6").kernel, fc6[::3, ::3, :, ::4])
    np.testing.assert_array_equal(backbone.get_layer("fc7").kernel, fc7[:, :, ::4, ::4])


def test_normalisation_is_the_releases():
    x = keras.Model(*(lambda b: (b.input, b.get_layer("normalize").output))(DeepLabVGG16(filters=None)))
    y = np.asarray(x(np.zeros((1, 8, 8, 3), "float32")))[0, 0, 0]
    np.testing.assert_allclose(y, [-104.008, -116.669, -122.675], rtol=1e-6)


def test_other_pools_are_refused():
    with pytest.raises(ValueError, match="2 or 3"):
        DeepLabVGG16(pool_size=4)
