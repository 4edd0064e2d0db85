import keras
import pytest

from kseg.errors import SettingsError
from kseg.models.structure.head_blocks import HeadBlocks

# Statistics over several devices are TensorFlow's: Keras refuses them elsewhere.
SYNCHRONIZED = keras.backend.backend() == "tensorflow"


def pyramid(**settings):
    x = keras.Input((None, None, 6))
    between, separable = settings.pop("normalize_depthwise", True), settings.pop("separable", True)
    blocks = HeadBlocks(0.1, 0.5, SYNCHRONIZED, between, separable=separable)
    return keras.Model(x, blocks.pyramid(x, 4, (2, 5), **{"projection": 1, **settings}))


def test_branches_of_the_paper():
    """1x1, one for each rate, the image level; concatenated and projected."""
    model = pyramid(projection=3)
    assert model.get_layer("aspp").output.shape[-1] == 4 * 4
    assert model.get_layer("aspp_1x1_conv").kernel.shape == (1, 1, 6, 4)
    assert [model.get_layer(f"aspp_{r}_dwconv").dilation_rate for r in (2, 5)] == [(2, 2), (5, 5)]
    assert model.get_layer("projection_conv").kernel.shape == (3, 3, 16, 4)
    assert model.get_layer("image_pool").output.shape[1:3] == (1, 1)


def test_full_convolutions():
    model = pyramid(separable=False)
    assert [model.get_layer(f"aspp_{r}_conv").rate for r in (2, 5)] == [(2, 2), (5, 5)]
    assert model.get_layer("aspp_5_conv").kernel.shape == (3, 3, 6, 4)


def test_every_normalisation_has_the_settings():
    for between, count in ((True, 7), (False, 5)):
        found = [
            layer
            for layer in pyramid(normalize_depthwise=between).layers
            if isinstance(layer, keras.layers.BatchNormalization)
        ]
        assert len(found) == count
        assert {(layer.epsilon, layer.momentum, layer.synchronized) for layer in found} == {
            (0.1, 0.5, SYNCHRONIZED)
        }


@pytest.mark.parametrize("wrong", [(0, 0.5, True), (0.1, 1.5, True), (0.1, 0.5, "no"), (0.1, 0.5, True, 3)])
def test_refusals(wrong):
    with pytest.raises(SettingsError, match="must be"):
        HeadBlocks(*wrong)


def test_full_convolutions_have_no_depthwise_part():
    with pytest.raises(SettingsError, match="give separable=True"):
        HeadBlocks(0.1, 0.5, SYNCHRONIZED, normalize_depthwise=False)
