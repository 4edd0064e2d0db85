import keras
import numpy as np
import pytest

from kseg.backbones import Backbone
from kseg.backbones.encoders import APPLICATIONS
from kseg.errors import ModelError
from kseg.models import encoder, encoder_names

# Channels of the stages, by the papers' tables; None where a network has no map at that stride.
STAGES = {
    "vgg16": (128, 256, 512, 512, 512),
    "resnet50v2": (64, 256, 512, 1024, 2048),
    "mobilenet_v2": (96, 144, 192, 576, 1280),
    "mobilenet_v3_small": (16, 72, 96, 288, 576),
    "densenet121": (64, 128, 256, 512, 1024),
    "convnext_tiny": (None, 96, 192, 384, 768),
    "efficientnet_b0": (96, 144, 240, 672, 1280),
    "inception_v3": (64, 192, 288, 768, 2048),
    "nasnet_mobile": (32, 44, 264, 528, 1056),
}
MARKS = {"mobilenet_v3_small": (), "convnext_tiny": pytest.mark.full}
ALL = [pytest.param(name, marks=MARKS.get(name, pytest.mark.slow)) for name in encoder_names()]


def test_every_network_of_keras_applications_has_a_name():
    there = {
        n for n in dir(keras.applications) if n[0].isupper() and callable(getattr(keras.applications, n))
    }
    assert there == {entry.function for entry in APPLICATIONS.values()}


@pytest.mark.parametrize("name", ALL)
def test_stages_and_their_strides(name):
    found = encoder(name, weights=None)
    sizes = {stage: tuple(tensor.shape) for stage, tensor in found(np.zeros((1, 81, 100, 3))).items()}
    for stage, (_, height, width, channels) in sizes.items():
        assert (height, width) == (96 // found.stride_of(stage), 128 // found.stride_of(stage))
        if name in STAGES:
            assert channels == STAGES[name][int(stage[-1]) - 1]
    if name in STAGES:
        assert len(sizes) == sum(channels is not None for channels in STAGES[name])


def test_inputs_are_normalised_as_keras_does():
    for name, module in (("resnet50v2", "resnet_v2"), ("densenet121", "densenet"), ("vgg16", "vgg16")):
        from kseg.layers import Normalize

        image = np.random.default_rng(0).uniform(0, 255, (1, 4, 5, 3)).astype("float32")
        expected = getattr(keras.applications, module).preprocess_input(image.copy())
        found = Normalize(**APPLICATIONS[name].normalization)(image)
        np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-4, atol=1e-3)


def test_what_an_encoder_may_be():
    image = x = keras.Input((None, None, 3))
    for number in range(5):
        x = keras.layers.Conv2D(2, 3, 2, "same", name=f"conv{number}")(x)
    own = encoder(keras.Model(image, x, name="own"))
    assert isinstance(own, Backbone)
    assert encoder(own) is own
    with pytest.raises(ModelError, match="did you mean mobilenet_v3_small"):
        encoder("mobilenet_v3_smal")
    with pytest.raises(ModelError, match="There is no encoder 7"):
        encoder(7)
    with pytest.raises(ModelError, match="are not available"):
        encoder("mobilenet_v2", weights="no/such/file")
