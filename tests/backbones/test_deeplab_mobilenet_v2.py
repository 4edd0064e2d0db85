import keras
import numpy as np
import pytest

from kseg.backbones import DeepLabMobileNetV2
from kseg.errors import ModelError, SettingsError


@pytest.mark.full
@pytest.mark.parametrize("size", [(64, 96), (33, 47)])
def test_stages_strides_and_widths(size):
    backbone = DeepLabMobileNetV2(0.5)
    out = backbone(np.zeros((1, *size, 3), "float32"))
    assert list(backbone.stages) == ["stage1", "stage2", "stage3", "stage4", "stage5"]
    filled = [-(-side // 32) * 32 for side in size]
    for exponent, (stage, width) in enumerate(zip(out, (48, 72, 96, 288, 160), strict=True), start=1):
        assert tuple(out[stage].shape) == (1, *(side // 2**exponent for side in filled), width)


@pytest.mark.full
def test_the_same_function_as_keras_applications():
    """Weights carried over by order; keras.applications has ReLU6 and the same padding on even sizes."""
    theirs = keras.applications.MobileNetV2((64, 96, 3), weights=None, include_top=False)
    rng = np.random.default_rng(0)
    for layer in theirs.layers:
        if layer.weights:
            layer.set_weights([_drawn(rng, weight) for weight in layer.get_weights()])
    ours = DeepLabMobileNetV2(1.0)
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.BatchNormalization)
    left = [layer for layer in theirs.layers if isinstance(layer, kinds)][:-2]  # without the 1280 channels
    right = [layer for layer in ours.layers if isinstance(layer, kinds)]
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        other.set_weights(one.get_weights())
    image = rng.uniform(0, 255, (1, 64, 96, 3)).astype("float32")
    last = keras.Model(theirs.input, theirs.get_layer("block_16_project_BN").output)
    expected = np.asarray(last(image / 127.5 - 1))
    np.testing.assert_allclose(np.asarray(ours(image)["stage5"]), expected, rtol=1e-4, atol=1e-4)


def _drawn(rng, weight):
    if weight.ndim == 1:
        return rng.uniform(0.5, 1.5, weight.shape)
    return rng.normal(size=weight.shape) * np.sqrt(2 / np.prod(weight.shape[:-1]))


def test_output_stride_dilates():
    whole, dilated = DeepLabMobileNetV2(0.25), DeepLabMobileNetV2(0.25, output_stride=8)
    dilated.set_weights(whole.get_weights())
    image = np.random.default_rng(1).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    fine = np.asarray(dilated(image)["stage5"])
    np.testing.assert_allclose(fine[:, ::4, ::4], np.asarray(whole(image)["stage5"]), rtol=1e-4, atol=1e-4)


@pytest.mark.full
def test_config_and_mistakes():
    backbone = DeepLabMobileNetV2(0.35, expansions=(1, 4, 4, 6, 6, 6, 4), output_stride=16, name="b")
    again = DeepLabMobileNetV2.from_config(backbone.get_config())
    assert [v.path for v in again.variables] == [v.path for v in backbone.variables]
    assert [v.shape for v in again.variables] == [v.shape for v in backbone.variables]
    assert again.output_stride == 16
    for wrong in ({"output_stride": 4}, {"width": 0}, {"expansions": (1, 6)}, {"width": "half"}):
        with pytest.raises(SettingsError, match=next(iter(wrong))):
            DeepLabMobileNetV2(**wrong)
    with pytest.raises(ModelError):
        DeepLabMobileNetV2(weights="no.npz")
