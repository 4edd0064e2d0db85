import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from kseg import models
from kseg.backbones import VGG16BatchNorm
from kseg.models import DeconvNet

sys.path.insert(0, str(Path(__file__).parent))
from contracts import check_fresh_process, check_segmenter

# Noh et al., released prototxt: output channels of the decoder's layers
RELEASED = {"deconv6": 512, "deconv5_1": 512, "deconv5_2": 512, "deconv5_3": 512, "deconv4_1": 512,
            "deconv4_2": 512, "deconv4_3": 256, "deconv3_1": 256, "deconv3_2": 256, "deconv3_3": 128,
            "deconv2_1": 128, "deconv2_2": 64, "deconv1_1": 64, "deconv1_2": 64}  # fmt: skip


def small_backbone(filters=8, fc6_padding="valid"):
    return VGG16BatchNorm(widths=(2, 3, 4, 5, 6), filters=filters, fc6_padding=fc6_padding, name="vgg")


def test_contract(tmp_path):
    check_segmenter(DeconvNet(small_backbone(), 3, kernel_std=0.5), tmp_path, sizes=((64, 96), (33, 47)))


def test_contract_convolutional(tmp_path):
    model = DeconvNet(small_backbone(4, "same"), 3, kernel_std=None)
    check_segmenter(model, tmp_path, sizes=((33, 47),))


def test_decoder_mirrors_the_encoder():
    """Widths an eighth of the released ones: a stage's own in front, the shallower stage's last."""
    model = DeconvNet(VGG16BatchNorm(widths=(8, 16, 32, 64, 64), filters=4, name="vgg"), 2)
    found = {layer.name: 8 * layer.filters for layer in model.layers if layer.name.startswith("deconv")}
    assert found == RELEASED
    order = [layer.name for layer in model.layers if layer.name.startswith(("deconv", "unpool"))]
    assert [name for name in order if name.startswith("unpool")] == [f"unpool{i}" for i in (5, 4, 3, 2, 1)]
    assert order[:3] == ["deconv6", "unpool5", "deconv5_1"]
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 29
    np.testing.assert_allclose(np.asarray(norms[-1].beta), 0.001)
    kernel = np.asarray(model.get_layer("deconv5_1").kernel)
    np.testing.assert_allclose(kernel.std(), 0.01, rtol=0.03)


def test_values_return_to_where_they_were_the_maxima():
    """The map after an unpooling is zero except where the encoder's pooling found its maxima."""
    model = DeconvNet(small_backbone(), 3, kernel_std=0.5)
    _, pooled_from = model.backbone.switches("stage1")
    parts = keras.Model(model.input, [pooled_from, model.get_layer("unpool1").output])
    features, unpooled = (
        np.asarray(x) for x in parts(np.random.default_rng(0).uniform(0, 255, (1, 33, 47, 3)))
    )
    assert features.shape == unpooled.shape == (1, 33, 47, 2)
    for y in range(0, 33, 2):
        for x in range(0, 47, 2):
            window, found = features[0, y : y + 2, x : x + 2, 0], unpooled[0, y : y + 2, x : x + 2, 0].copy()
            found[np.unravel_index(window.argmax(), window.shape)] = 0
            np.testing.assert_array_equal(found, 0)


def test_small_images_are_filled_up_and_large_ones_are_not():
    """From 193 pixels on the deepest map fills fc6's window by itself: 7x7 becomes one value."""
    model = DeconvNet(small_backbone(), 2)
    fc6 = keras.Model(model.input, [model.get_layer("pad6").output, model.get_layer("fc6").output])
    for size, deepest, bottleneck in ((20, 7, 1), (193, 7, 1), (224, 7, 1), (256, 8, 2)):
        padded, value = fc6(np.zeros((1, size, 224, 3), "float32"))
        assert (padded.shape[1], value.shape[1]) == (deepest, bottleneck)


@pytest.mark.slow
def test_learns_one_picture():
    """A few steps on two halves of different colour: the loss falls, and no variable is left out."""
    keras.utils.set_random_seed(0)
    model = DeconvNet(VGG16BatchNorm(widths=(4, 4, 4, 4, 4), filters=None, name="vgg"), 2, kernel_std=None)
    image = np.zeros((2, 32, 32, 3), "float32")
    image[:, :, 16:] = 255
    labels = (image[..., 0] > 0).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, run_eagerly=True)
    before = [np.asarray(v) for v in model.trainable_variables]
    losses = [float(model.train_on_batch(image, labels)) for _ in range(12)]
    assert losses[-1] < 0.7 * losses[0]
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert (np.asarray(variable) != old).any(), variable.path


def test_mixed_precision_keeps_logits_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = DeconvNet(small_backbone(), 3)
    finally:
        keras.config.set_dtype_policy("float32")
    assert model(np.zeros((1, 33, 40, 3), "float32")).dtype == "float32"
    assert model.get_layer("unpool1").compute_dtype == "bfloat16"


def test_catalog_small():
    model = models.build("deconvnet_small", 21)
    assert model.count_params() < 6e6
    assert model(np.zeros((1, 33, 40, 3), "uint8")).shape == (1, 33, 40, 21)


@pytest.mark.slow
def test_fresh_process(tmp_path):
    check_fresh_process(DeconvNet(small_backbone(), 3, kernel_std=0.5), tmp_path)


@pytest.mark.slow
def test_published_parameter_count():
    model = models.build("deconvnet_vgg16", 21, weights=None)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == 251_805_653
    assert model(np.zeros((1, 224, 224, 3), "uint8")).shape == (1, 224, 224, 21)
